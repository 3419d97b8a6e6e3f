import Fleet
import Wire

/// The tasks of one simulated node, as reports carry them. Pure.
///
/// A lane is a batch of tasks that go through their states together, to the next one once the last is acknowledged. A report
/// carries what all lanes have to say by then, as a node's does.
struct SimulatedTasks {
    private struct Lane {
        var tasks: [Task] = []
        var state = 0
    }

    private struct Task {
        var id: WorkloadID
        var message: Lighter_V1_WorkloadMessage
    }

    /// Workloads in one report, as of a real node.
    private static let most = 256
    private static let states: [WorkloadState] = [.created, .running, .exited, .removed]

    private let node: NodeID
    private let batch: Int
    private var left: Int
    /// By the report that they were in.
    private var lanes: [UInt64: [Lane]] = [:]
    private var waiting: [Lane] = []
    private var sequence: UInt64
    /// What the node has, as its heartbeats say.
    private(set) var checksum = InventoryChecksum()
    private(set) var count = 0

    /// - Parameter sequence: above all that the node has reported before.
    init(node: NodeID, share: SimulationPlan.Share, batch: Int, sequence: UInt64) {
        self.node = node
        self.batch = batch
        self.sequence = sequence
        left = share.tasks
        for _ in 0..<share.lanes { waiting.append(Lane()) }
    }

    /// Whether every task has been removed, and that is acknowledged.
    var isDone: Bool { left == 0 && lanes.isEmpty && waiting.allSatisfy(\.tasks.isEmpty) }

    /// Whether there is something to report.
    var hasNews: Bool { waiting.contains { !$0.tasks.isEmpty } || (left > 0 && !waiting.isEmpty) }

    /// The next report, of as many lanes as fit into one; nil while all lanes wait, or nothing is left.
    mutating func next() -> Lighter_V1_Report? {
        var report = Lighter_V1_Report()
        var sent: [Lane] = []
        while report.workloads.count + batch <= Self.most, var lane = waiting.popLast() {
            if lane.tasks.isEmpty {
                let size = min(batch, left)
                guard size > 0 else { continue }
                left -= size
                for _ in 0..<size { lane.tasks.append(make()) }
            }
            for index in lane.tasks.indices {
                advance(&lane.tasks[index], to: Self.states[lane.state])
                report.workloads.append(lane.tasks[index].message)
            }
            sent.append(lane)
        }
        guard !sent.isEmpty else { return nil }
        sequence += 1
        report.sequence = sequence
        lanes[sequence] = sent
        return report
    }

    /// The gateway has a report on its disk: how many updates that were.
    mutating func acknowledge(_ report: UInt64) -> Int {
        var updates = 0
        for var lane in lanes.removeValue(forKey: report) ?? [] {
            updates += lane.tasks.count
            lane.state += 1
            waiting.append(lane.state == Self.states.count ? Lane() : lane)
        }
        return updates
    }

    private mutating func advance(_ task: inout Task, to state: WorkloadState) {
        if state != .created {
            checksum.remove(task.id, Version(epoch: 0, sequence: task.message.sequence))
            count -= 1
        }
        sequence += 1
        task.message.sequence = sequence
        task.message.state = state.rawValue
        if state == .exited { task.message.exitCode = 0 }
        guard state != .removed else { return }
        checksum.add(task.id, Version(epoch: 0, sequence: task.message.sequence))
        count += 1
    }

    private func make() -> Task {
        let id = WorkloadID.random()
        let workload = Workload(
            id: id, tenant: .main, origin: node, target: node, state: .created, version: Version(epoch: 0, sequence: 0),
            containerID: id.hex + id.hex, name: "task-" + id.hex.prefix(12), image: "simulated")
        return Task(id: id, message: Lighter_V1_WorkloadMessage(workload))
    }
}
