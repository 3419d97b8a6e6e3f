package import Fleet

/// The gateway's word, checked without asking it: this origin may run this workload on this target, in this epoch.
package struct Ticket: Sendable, Hashable {
    package var workload: WorkloadID
    package var tenant: TenantID
    package var origin: NodeID
    package var target: NodeID
    package var epoch: UInt64
    /// Seconds since 1970.
    package var notBefore: Double
    package var expiresAt: Double

    package init(
        workload: WorkloadID, tenant: TenantID, origin: NodeID, target: NodeID, epoch: UInt64, notBefore: Double,
        expiresAt: Double
    ) {
        self.workload = workload
        self.tenant = tenant
        self.origin = origin
        self.target = target
        self.epoch = epoch
        self.notBefore = notBefore
        self.expiresAt = expiresAt
    }
}

// MARK: - The one encoding
//
// version (1 byte, 1), workload (16), epoch (8), notBefore (8, the Double's bits), expiresAt (8), then tenant, origin
// and target as a length byte and their characters. Big-endian; no other bytes mean the same ticket.
extension Ticket {
    static let encodingVersion: UInt8 = 1
    /// What is signed begins with this, so that no signature made for another purpose can pass for a ticket's.
    static let domain = Array("lighter ticket 1\0".utf8)

    var encoded: [UInt8] {
        var out: [UInt8] = [Self.encodingVersion]
        out += bytes(hex: workload.hex)
        for number in [epoch, notBefore.bitPattern, expiresAt.bitPattern] {
            out += stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt64($0)) }
        }
        for name in [tenant.name, origin.name, target.name] {
            out.append(UInt8(truncatingIfNeeded: name.utf8.count))
            out += name.utf8
        }
        return out
    }

    /// - Throws: `malformedTicket`.
    init(encoded: ArraySlice<UInt8>) throws(TrustError) {
        var rest = encoded
        guard let version = rest.popFirst() else { throw Self.malformed("it is empty") }
        guard version == Self.encodingVersion else {
            throw Self.malformed(
                "it has version \(version), this release reads \(Self.encodingVersion); upgrade this node")
        }
        let id = try Self.take(16, from: &rest)
        epoch = try Self.takeNumber(from: &rest)
        notBefore = Double(bitPattern: try Self.takeNumber(from: &rest))
        expiresAt = Double(bitPattern: try Self.takeNumber(from: &rest))
        guard notBefore.isFinite, expiresAt.isFinite else { throw Self.malformed("its times are no numbers") }
        do {
            workload = try WorkloadID(hex(id))
            tenant = try TenantID(Self.takeName(from: &rest))
            origin = try NodeID(Self.takeName(from: &rest))
            target = try NodeID(Self.takeName(from: &rest))
        } catch let error as TrustError {
            throw error
        } catch {
            throw TrustError(.malformedTicket, "the ticket is malformed: it holds a bad name", cause: error)
        }
        guard rest.isEmpty else { throw Self.malformed("bytes follow its end") }
    }

    static func malformed(_ why: String) -> TrustError {
        TrustError(.malformedTicket, "the ticket is malformed: \(why)")
    }

    private static func take(_ count: Int, from rest: inout ArraySlice<UInt8>) throws(TrustError) -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw malformed("it was cut short") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func takeNumber(from rest: inout ArraySlice<UInt8>) throws(TrustError) -> UInt64 {
        try take(8, from: &rest).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func takeName(from rest: inout ArraySlice<UInt8>) throws(TrustError) -> String {
        let length = try take(1, from: &rest).reduce(0) { Int($0) + Int($1) }
        return String(decoding: try take(length, from: &rest), as: UTF8.self)
    }
}
