import Fleet

/// How many of something go on at once, in all and for each node.
struct Turns: Sendable {
    let limit: Int
    let perNode: Int
    private var taken: [NodeID: Int] = [:]

    init(limit: Int, perNode: Int) {
        self.limit = limit
        self.perNode = perNode
    }

    /// Whether one more may begin for a node.
    func isFree(for node: NodeID) -> Bool {
        taken.values.reduce(0, +) < limit && taken[node, default: 0] < perNode
    }

    mutating func begin(_ node: NodeID) { taken[node, default: 0] += 1 }

    mutating func end(_ node: NodeID) {
        taken[node, default: 0] -= 1
        if taken[node, default: 0] <= 0 { taken[node] = nil }
    }
}
