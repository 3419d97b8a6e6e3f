#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import Fleet

/// Chooses among nodes that are as good as each other, in proportion to the room each has.
///
/// Weighted rendezvous hashing: every (workload, node) pair draws its own number from its names, so the choice needs no random
/// generator, does not depend on the order of nodes, and changes for few workloads when a node comes or goes.
struct Spread: Sendable {
    private let seed: UInt64

    init(_ workload: WorkloadID) { seed = Self.hash(workload.hex, 0xcbf2_9ce4_8422_2325) }

    /// Smallest wins.
    func key(_ node: Node) -> Double {
        let draw = Double(Self.mix(Self.hash(node.id.name, seed)) >> 11) * 0x1p-53
        return -log(max(draw, 0x1p-60)) / Self.weight(node)
    }

    /// Free cores at their speed, less where memory is short; never nothing, so that a full fleet still spreads.
    private static func weight(_ node: Node) -> Double {
        let cores = max(1, node.capacity.cpus)
        let free = cores * (1 - min(1, max(0, node.measures.cpu)))
        let room = 1 - min(1, max(0, node.measures.memory))
        return max(0.01, min(free, max(0, cores - node.reserved.cpus)) * max(0.01, node.measures.coreSpeed) * room)
    }

    private static func hash(_ text: String, _ seed: UInt64) -> UInt64 {
        var state = seed
        for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return state
    }

    private static func mix(_ input: UInt64) -> UInt64 {
        var word = input
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
