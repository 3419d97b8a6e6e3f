import Fleet

/// Reads single fields of messages into the domain, naming the field in what goes wrong.
///
/// Numbers are bounded here once, so that no arithmetic on them can trap or be poisoned by a NaN later.
enum WireField {
    /// 1 EiB: more than any machine has, little enough that sums of many do not overflow.
    private static let mostBytes: Int64 = 1 << 60

    static func node(_ text: String, _ field: String) throws(WireError) -> NodeID {
        do {
            return try NodeID(text)
        } catch {
            throw WireError(.invalid, "\(field): \(error)")
        }
    }

    static func tenant(_ text: String, _ field: String) throws(WireError) -> TenantID {
        do {
            return try TenantID(text)
        } catch {
            throw WireError(.invalid, "\(field): \(error)")
        }
    }

    static func workload(_ text: String, _ field: String) throws(WireError) -> WorkloadID {
        do {
            return try WorkloadID(text)
        } catch {
            throw WireError(.invalid, "\(field): \(error)")
        }
    }

    /// A count of bytes from 0 to 1 EiB.
    static func bytes(_ number: Int64, _ field: String) throws(WireError) -> ByteCount {
        guard (0...mostBytes).contains(number) else {
            throw WireError(.invalid, "\(field): \(number) is not a number of bytes from 0 to 2^60")
        }
        return ByteCount(number)
    }

    /// A finite number that is not negative and at most `most`.
    static func amount(_ number: Double, _ field: String, most: Double = 1e15) throws(WireError) -> Double {
        guard number.isFinite, number >= 0, number <= most else {
            throw WireError(.invalid, "\(field): \(number) is not a number from 0 to \(most)")
        }
        return number
    }

    static func fraction(_ number: Double, _ field: String) throws(WireError) -> Double {
        try amount(number, field, most: 1)
    }

    /// A measured part: over 1 by rounding or a moment's burst reads as 1.
    static func share(_ number: Double, _ field: String) throws(WireError) -> Double {
        min(1, try amount(number, field))
    }

    static func policyKind(_ word: String, _ field: String) throws(WireError) -> Policy.Kind {
        guard let kind = Policy.Kind(rawValue: word) else {
            throw WireError(
                .unknownWord,
                "\(field): the policy '\(word)' is not known here; the peer may be newer: update this side")
        }
        return kind
    }
}
