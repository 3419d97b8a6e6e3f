/// What `lighter simulate` does.
struct SimulationPlan: Sendable {
    var nodes: Int
    var tasks: Int
    /// Tasks that go through their states together.
    var batch: Int
    /// Tasks, or batches of them, that are under way at once, over all nodes.
    var inFlight: Int
    var heartbeat: Duration
    /// Nodes of a hundred whose load is another with every heartbeat.
    var restless: Int
    /// How long the nodes only beat.
    var rest: Duration
    /// Nodes that connect at once.
    var connecting: Int
    var reconnects: Bool

    /// What one node does of it: batches of tasks that it keeps under way, and tasks that it runs.
    struct Share: Sendable, Equatable {
        var lanes: Int
        var tasks: Int
    }

    /// They are spread evenly over any number of nodes.
    func isRestless(_ node: Int) -> Bool { (node + 1) * restless / 100 > node * restless / 100 }

    /// Every batch under way belongs to one node, and the tasks to those that have some; no task is lost in rounding.
    func share(of node: Int) -> Share {
        let lanes = max(1, min(inFlight, (tasks + batch - 1) / batch))
        let busy = min(nodes, lanes)
        guard node < busy else { return Share(lanes: 0, tasks: 0) }
        return Share(
            lanes: lanes / busy + (node < lanes % busy ? 1 : 0), tasks: tasks / busy + (node < tasks % busy ? 1 : 0))
    }
}
