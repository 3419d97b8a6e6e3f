/// Cuts bytes where their content says so, so that an insertion moves the cuts with it (FastCDC's normalised gear hash).
package struct Chunker: Sendable {
    /// The usual mean; larger files get a larger one, so that the number of a file's chunks stays bounded.
    static let leastMean = 64 << 10
    static let greatestMean = 1 << 30
    private static let chunksPerFile: Int64 = 16 << 10

    /// How both sides cut a file of `size`; a power of two.
    static func mean(forSize size: Int64) -> Int {
        var mean = leastMean
        while mean < greatestMean, size / Int64(mean) > chunksPerFile { mean *= 2 }
        return mean
    }

    private static let gear: [UInt64] = {
        // SplitMix64 from a fixed seed: both sides must have the same numbers.
        var state: UInt64 = 0x4c69_6768_7465_7221
        return (0..<256).map { _ in
            state &+= 0x9e37_79b9_7f4a_7c15
            var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            return word ^ (word >> 31)
        }
    }()

    private let least: Int
    private let mean: Int
    private let greatest: Int
    private let strict: UInt64
    private let loose: UInt64
    private var hash: UInt64 = 0
    private var length = 0

    /// - Parameter mean: A power of two between the bounds.
    package init(mean: Int) {
        self.mean = mean
        least = mean / 4
        greatest = mean * 4
        let bits = mean.trailingZeroBitCount
        // The high bits of a gear hash depend on the most bytes.
        strict = ~0 << UInt64(64 - bits - 1)
        loose = ~0 << UInt64(64 - bits + 1)
    }

    /// Takes bytes of the current chunk.
    /// - Returns: How many of them belong to it, when it ends among them; nil when it took them all and goes on.
    package mutating func cut(_ bytes: UnsafeRawBufferPointer) -> Int? {
        // Nothing is cut before the least length, so those bytes need no hash but for the last 64.
        var index = min(max(0, least - 64 - length), bytes.count)
        length += index
        return Self.gear.withUnsafeBufferPointer { gear in
            while index < bytes.count {
                hash = (hash << 1) &+ gear[Int(bytes[index])]
                index += 1
                length += 1
                if length < least { continue }
                if hash & (length < mean ? strict : loose) == 0 || length == greatest {
                    hash = 0
                    length = 0
                    return index
                }
            }
            return nil
        }
    }
}
