import Fleet
import Wire

/// What of a heartbeat has to be said: on a link on which nothing changes, that is next to nothing. Pure.
struct HeartbeatTelling {
    /// A node that holds nothing exclusive is answered every so many heartbeats: it knows by that that its gateway is there, and
    /// how far.
    static let answered = 5

    /// Whether the gateway of this link knows heartbeats that leave something out.
    var isLean = false
    private var node: Node?
    private var inventory: (checksum: UInt64, count: UInt64)?
    private var unanswered = Self.answered - 1

    /// The node has introduced itself on a new link.
    mutating func begin(with node: Node) {
        self = HeartbeatTelling()
        self.node = node
    }

    /// - Parameter asks: whether the node needs an answer.
    mutating func next(
        _ node: Node, checksum: UInt64, count: UInt64, asks: Bool
    ) -> Lighter_V1_Heartbeat {
        var heartbeat = Lighter_V1_Heartbeat()
        if !isLean || !isKnown(node) {
            heartbeat.node = Lighter_V1_NodeMessage(node)
            self.node = node
        }
        if isLean, let inventory, inventory == (checksum, count) {
            heartbeat.same = true
        } else {
            (heartbeat.checksum, heartbeat.workloads) = (checksum, count)
            inventory = (checksum, count)
        }
        unanswered += 1
        heartbeat.quiet = isLean && !asks && unanswered < Self.answered
        if !heartbeat.quiet { unanswered = 0 }
        return heartbeat
    }

    /// Whether it is as it was told last, or so near that nobody would decide otherwise.
    private func isKnown(_ node: Node) -> Bool {
        guard var told = self.node, node.measures.areNear(told.measures) else { return false }
        told.measures = node.measures
        return told == node
    }
}
