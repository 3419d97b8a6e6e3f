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

/// Lighter's own id of a workload, for life, whatever engine it runs on: 128 random bits as 32 hex digits.
package struct WorkloadID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package let hex: String

    /// - Throws: `FleetError.invalidName` when `hex` is not 32 lower-case hex digits.
    package init(_ hex: String) throws(FleetError) {
        guard hex.utf8.count == 32, hex.utf8.allSatisfy(isLowerHex) else {
            throw .invalidName(kind: "workload", value: hex)
        }
        self.hex = hex
    }

    private init(unchecked hex: String) { self.hex = hex }

    /// A new id; 128 bits from the system's generator, so that two nodes never draw the same.
    package static func random() -> WorkloadID {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(32)
        for _ in 0..<4 {
            var word = UInt32.random(in: .min ... .max)
            for _ in 0..<8 {
                text.append(digits[Int(word & 15)])
                word >>= 4
            }
        }
        return WorkloadID(unchecked: String(decoding: text, as: UTF8.self))
    }

    package var description: String { hex }
    package static func < (a: Self, b: Self) -> Bool { a.hex < b.hex }

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

private func isLowerHex(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
}
