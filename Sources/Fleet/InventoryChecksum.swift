/// A fingerprint of a node's (workload, version) set, sent with each heartbeat: a mismatch asks for a full report.
///
/// Independent of order, and kept up to date in constant time: an entry is added or removed by the same arithmetic. It guards
/// against loss and bugs, not against a forger.
package struct InventoryChecksum: Sendable, Hashable {
    /// Zero for an empty inventory.
    package private(set) var value: UInt64 = 0

    package init() {}

    package init(_ entries: some Sequence<(WorkloadID, Version)>) {
        for (workload, version) in entries { add(workload, version) }
    }

    package init(_ workloads: some Sequence<Workload>) {
        for workload in workloads { add(workload.id, workload.version) }
    }

    /// Each entry may be added once; adding the same entry twice is a different set.
    package mutating func add(_ workload: WorkloadID, _ version: Version) { value &+= Self.digest(workload, version) }

    package mutating func remove(_ workload: WorkloadID, _ version: Version) {
        value &-= Self.digest(workload, version)
    }

    private static func digest(_ workload: WorkloadID, _ version: Version) -> UInt64 {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        workload.forEachDigit { state = (state ^ UInt64($0)) &* 0x100_0000_01b3 }
        return mix(mix(mix(state) ^ version.epoch) ^ version.sequence)
    }

    /// A bijection of 64 bits in which every input bit reaches every output bit.
    private static func mix(_ input: UInt64) -> UInt64 {
        var word = input &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
