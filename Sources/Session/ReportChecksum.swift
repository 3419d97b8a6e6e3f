package import Fleet

/// A figure over a set of (workload, version) pairs, whatever their order; entries can be added and taken out.
package struct ReportChecksum: Sendable, Hashable {
    package private(set) var value: UInt64 = 0
    package private(set) var count: UInt64 = 0

    package init() {}

    package mutating func add(_ workload: WorkloadID, _ version: Version) {
        value &+= Self.hash(workload, version)
        count &+= 1
    }

    package mutating func remove(_ workload: WorkloadID, _ version: Version) {
        value &-= Self.hash(workload, version)
        count &-= 1
    }

    /// FNV-1a over the id's digits and both numbers, little-endian, then a mixing step (as in SplitMix64) so that sums of
    /// neighbouring versions do not cancel out.
    private static func hash(_ workload: WorkloadID, _ version: Version) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func take(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in workload.hex.utf8 { take(byte) }
        for number in [version.epoch, version.sequence] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) { take(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
        return hash ^ (hash >> 31)
    }
}
