/// How a workload's target is chosen.
package struct Policy: Sendable, Hashable, Codable {
    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// Always on the origin.
        case local
        /// Always elsewhere, as long as some node fits; the origin is the last resort.
        case remote
        /// On the origin until it is busy, then on the best of the others.
        case threshold
        /// Where the result is predicted first.
        case completion
    }

    package var kind: Kind
    /// `lighter.target`: only this node; nil for any.
    package var target: NodeID?
    /// `lighter.tags`: every one must be among the node's tags.
    package var tags: [String]
    /// Busy part of the CPU above which `threshold` sends work away.
    package var cpuThreshold: Double
    /// The same for memory.
    package var memoryThreshold: Double
    /// How far below a threshold its measure must fall before work stays again.
    package var hysteresis: Double

    package init(
        kind: Kind = .completion, target: NodeID? = nil, tags: [String] = [], cpuThreshold: Double = 0.75,
        memoryThreshold: Double = 0.80, hysteresis: Double = 0.10
    ) {
        self.kind = kind
        self.target = target
        self.tags = tags
        self.cpuThreshold = cpuThreshold
        self.memoryThreshold = memoryThreshold
        self.hysteresis = hysteresis
    }
}
