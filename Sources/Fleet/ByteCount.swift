/// A number of bytes.
package struct ByteCount: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package var bytes: Int64

    package init(_ bytes: Int64) { self.bytes = bytes }

    package static let zero = ByteCount(0)
    package static func kibibytes(_ n: Int64) -> ByteCount { ByteCount(n << 10) }
    package static func mebibytes(_ n: Int64) -> ByteCount { ByteCount(n << 20) }
    package static func gibibytes(_ n: Int64) -> ByteCount { ByteCount(n << 30) }

    package static func < (a: Self, b: Self) -> Bool { a.bytes < b.bytes }

    /// Stops at the ends of the range: figures come from peers, and no sum of them may trap.
    package static func + (a: Self, b: Self) -> Self {
        let (sum, overflow) = a.bytes.addingReportingOverflow(b.bytes)
        return ByteCount(overflow ? (b.bytes < 0 ? .min : .max) : sum)
    }

    /// Stops at the ends of the range, as the sum does.
    package static func - (a: Self, b: Self) -> Self {
        let (difference, overflow) = a.bytes.subtractingReportingOverflow(b.bytes)
        return ByteCount(overflow ? (b.bytes < 0 ? .max : .min) : difference)
    }

    package static func += (a: inout Self, b: Self) { a = a + b }

    /// As a person reads it, in binary units: `1.5 GiB`.
    package var description: String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            let tenths = (value * 10).rounded() / 10
            if tenths.magnitude < 1024 || unit == "GiB" {
                return tenths == tenths.rounded() ? "\(Int64(tenths)) \(unit)" : "\(tenths) \(unit)"
            }
            value /= 1024
        }
        return "\(bytes) B"
    }

    package init(from decoder: any Decoder) throws { self.init(try Int64(from: decoder)) }
    package func encode(to encoder: any Encoder) throws { try bytes.encode(to: encoder) }
}
