/// The name of a node, unique in its fleet: 1 to 63 of `a-z 0-9 -`, as in a host name.
package struct NodeID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package let name: String

    /// - Throws: `FleetError.invalidName` when `name` is not a host label.
    package init(_ name: String) throws(FleetError) {
        guard isHostLabel(name) else { throw .invalidName(kind: "node", value: name) }
        self.name = name
    }

    package var description: String { name }
    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }

    package init(from decoder: any Decoder) throws {
        try self.init(String(from: decoder))
    }

    package func encode(to encoder: any Encoder) throws { try name.encode(to: encoder) }
}

/// Who owns workloads, nodes and quotas; spelled as a `NodeID`.
package struct TenantID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package let name: String

    /// The tenant of a fleet that has not been divided.
    package static let main = TenantID(unchecked: "main")

    /// - Throws: `FleetError.invalidName` when `name` is not a host label.
    package init(_ name: String) throws(FleetError) {
        guard isHostLabel(name) else { throw .invalidName(kind: "tenant", value: name) }
        self.name = name
    }

    private init(unchecked name: String) { self.name = name }

    package var description: String { name }
    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }

    package init(from decoder: any Decoder) throws {
        try self.init(String(from: decoder))
    }

    package func encode(to encoder: any Encoder) throws { try name.encode(to: encoder) }
}

/// Lighter's own id of a workload, for life, whatever engine it runs on: 128 random bits, written as 32 hex digits.
package struct WorkloadID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    // As two numbers: ids are copied and looked up far more often than they are written.
    private let high: UInt64
    private let low: UInt64

    /// - Throws: `FleetError.invalidName` when `hex` is not 32 lower-case hex digits.
    package init(_ hex: String) throws(FleetError) {
        var words: (high: UInt64, low: UInt64) = (0, 0)
        var count = 0
        for byte in hex.utf8 {
            guard count < 32, let digit = hexDigit(byte) else { throw .invalidName(kind: "workload", value: hex) }
            words.high = words.high << 4 | words.low >> 60
            words.low = words.low << 4 | digit
            count += 1
        }
        guard count == 32 else { throw .invalidName(kind: "workload", value: hex) }
        (high, low) = words
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new id; 128 bits from the system's generator, so that two nodes never draw the same.
    package static func random() -> WorkloadID {
        WorkloadID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
    }

    /// 32 lower-case hex digits.
    package var hex: String {
        String(unsafeUninitializedCapacity: 32) { bytes in
            var index = 0
            forEachDigit {
                bytes.initializeElement(at: index, to: $0)
                index += 1
            }
            return 32
        }
    }

    /// The bytes of `hex`, without making it.
    func forEachDigit(_ body: (UInt8) -> Void) {
        for digit in 0..<16 { body(hexByte(high >> UInt64(60 - 4 * digit))) }
        for digit in 0..<16 { body(hexByte(low >> UInt64(60 - 4 * digit))) }
    }

    package var description: String { hex }
    package static func < (a: Self, b: Self) -> Bool { (a.high, a.low) < (b.high, b.low) }

    package init(from decoder: any Decoder) throws {
        try self.init(String(from: decoder))
    }

    package func encode(to encoder: any Encoder) throws { try hex.encode(to: encoder) }
}

private func isHostLabel(_ text: String) -> Bool {
    let bytes = text.utf8
    guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-"), bytes.last != UInt8(ascii: "-") else {
        return false
    }
    return bytes.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
}

private func hexDigit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    default: nil
    }
}

/// The digit of the lowest four bits.
private func hexByte(_ bits: UInt64) -> UInt8 {
    let digit = UInt8(bits & 15)
    return digit < 10 ? 0x30 + digit : 0x61 + digit - 10
}
