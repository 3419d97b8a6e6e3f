package import Fleet
package import Wire

/// What of a heartbeat has to be said: on a link on which nothing changes, that is next to nothing. Pure.
package struct HeartbeatTelling {
    /// A node that holds nothing exclusive is answered every so many heartbeats: it knows by that that its gateway is there, and
    /// how far.
    static let answered = 6
    /// What an answer may take longer than the one before it, until the link is asked whether it stands.
    private static let leastLateness = Duration.milliseconds(300)
    /// Small changes of measures come and go with what a node at rest does: they are told once they have stayed for so many.
    static let patience = 10

    /// After how much silence of the gateway's the link is asked whether it stands.
    package static func wordIsDue(heartbeat: Duration) -> Duration {
        heartbeat * answered + max(leastLateness, heartbeat / 10)
    }

    /// Whether the gateway of this link knows heartbeats that leave something out.
    package var isLean = false
    /// Whether it knows those of which only the measures are news, and empty ones.
    package var isTerse = false
    private var node: Node?
    /// How many heartbeats have kept a small change back.
    private var kept = 0
    private var inventory: (checksum: UInt64, count: UInt64)?
    private var unanswered = Self.answered - 1

    package init() {}

    /// The node has introduced itself on a new link.
    package mutating func begin(with node: Node) {
        self = HeartbeatTelling()
        self.node = node
    }

    /// - Parameter asks: whether the node needs an answer.
    package mutating func next(
        _ node: Node, checksum: UInt64, count: UInt64, asks: Bool
    ) -> Lighter_V1_Heartbeat {
        var heartbeat = Lighter_V1_Heartbeat()
        switch nearness(of: node) {
        case .alike: kept = 0
        case .slight where kept + 1 < Self.patience: kept += 1
        case .slight, .apart: tell(node, in: &heartbeat)
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

    /// What has been kept back, for who is about to decide by it; nil where that is nothing, or cannot be said yet.
    mutating func rest(_ node: Node) -> Lighter_V1_Heartbeat? {
        guard isLean, inventory != nil, nearness(of: node) != .alike else { return nil }
        var heartbeat = Lighter_V1_Heartbeat()
        (heartbeat.same, heartbeat.quiet) = (true, true)
        tell(node, in: &heartbeat)
        return heartbeat
    }

    /// As it is sent.
    package func shortest(_ heartbeat: Lighter_V1_Heartbeat) -> Lighter_V1_Heartbeat {
        isTerse ? heartbeat.abbreviated : heartbeat
    }

    private mutating func tell(_ node: Node, in heartbeat: inout Lighter_V1_Heartbeat) {
        if isTerse, isOtherwiseKnown(node) {
            heartbeat.loneMeasures = true
            heartbeat.node.measures = Lighter_V1_MeasuresMessage(node.measures)
        } else {
            heartbeat.node = Lighter_V1_NodeMessage(node)
        }
        self.node = node
        kept = 0
    }

    private func nearness(of node: Node) -> Measures.Nearness {
        guard isLean, let told = self.node, isOtherwiseKnown(node) else { return .apart }
        return node.measures.nearness(to: told.measures, cores: node.capacity.cpus)
    }

    /// Whether all but its measures is as it was told last.
    private func isOtherwiseKnown(_ node: Node) -> Bool {
        guard var told = self.node else { return false }
        told.measures = node.measures
        return told == node
    }
}
