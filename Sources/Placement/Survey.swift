import Fleet

/// One look at every node but the origin: who fits, how well, and a short list of each kind to show.
struct Survey: Sendable {
    struct Entry: Sendable {
        var index: Int
        /// Smaller is better.
        var score: Double
    }

    /// Nodes within this part of the best score are as good as each other.
    static let nearly = 0.05

    private(set) var fitting: [Entry] = []
    private(set) var bestScore = Double.infinity
    private(set) var refusedCount = 0
    /// The best of those that fit, and the first by name of those that do not.
    private(set) var best: Shortlist
    private(set) var refused: Shortlist
    private let nodes: [Node]

    /// - Parameter shown: How many nodes of each kind are kept for showing.
    init(_ nodes: [Node], of question: Question, shown: Int, score: (Node) -> Double) {
        self.nodes = nodes
        best = Shortlist(limit: shown)
        refused = Shortlist(limit: shown)
        let filters = Filters.others(question)
        // Through the buffer each node is looked at in place; through the array each would be copied, field by field.
        nodes.withUnsafeBufferPointer { nodes in
            for index in nodes.indices where nodes[index].id != question.request.origin {
                guard filters.admit(nodes[index]) else {
                    refusedCount += 1
                    refused.offer(index, score: 0, name: nodes[index].id)
                    continue
                }
                let score = score(nodes[index])
                fitting.append(Entry(index: index, score: score))
                bestScore = min(bestScore, score)
                best.offer(index, score: score, name: nodes[index].id)
            }
        }
    }

    /// One of the nodes that are within a twentieth of the best, or within `grain` of it, in proportion to their room.
    ///
    /// - Parameter grain: What the score cannot tell apart, in its own unit.
    func choice(for workload: WorkloadID, grain: Double) -> Node? {
        let spread = Spread(workload)
        let bound = bestScore + max(grain, bestScore * Self.nearly)
        var chosen: (index: Int, key: Double)?
        for entry in fitting where entry.score <= bound {
            let key = spread.key(nodes[entry.index])
            guard let current = chosen else {
                chosen = (entry.index, key)
                continue
            }
            // Equal draws are settled by name, so that the order of nodes never matters.
            if key < current.key || (key == current.key && nodes[entry.index].id < nodes[current.index].id) {
                chosen = (entry.index, key)
            }
        }
        return chosen.map { nodes[$0.index] }
    }

    var bestShown: [Node] { best.indices.map { nodes[$0] } }
    var refusedShown: [Node] { refused.indices.map { nodes[$0] } }
}

/// The few smallest of many, by score and then by name, without sorting the many.
struct Shortlist: Sendable {
    private var items: [(index: Int, score: Double, name: NodeID)] = []
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var indices: [Int] { items.map(\.index) }

    mutating func offer(_ index: Int, score: Double, name: NodeID) {
        if items.count == limit {
            guard let last = items.last, (score, name) < (last.score, last.name) else { return }
            items.removeLast()
        }
        let place = items.firstIndex { (score, name) < ($0.score, $0.name) } ?? items.endIndex
        items.insert((index, score, name), at: place)
    }
}
