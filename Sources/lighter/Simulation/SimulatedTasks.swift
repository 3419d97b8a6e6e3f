import Fleet
import Wire

/// The tasks of one simulated node, as reports carry them. Pure.
///
/// A lane is a batch of tasks that go through their states together: one report for each state, the next once the last is
/// acknowledged.
struct SimulatedTasks {
    private struct Lane {
        var tasks: [Lighter_V1_WorkloadMessage]
        var state: Int
    }

    private static let states: [WorkloadState] = [.created, .running, .exited, .removed]

    private let node: NodeID
    private let batch: Int
    private var left: Int
    private var lanes: [UInt64: Lane] = [:]
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
        for _ in 0..<share.lanes { waiting.append(Lane(tasks: [], state: 0)) }
    }

    /// Whether every task has been removed, and that is acknowledged.
    var isDone: Bool { left == 0 && lanes.isEmpty && waiting.allSatisfy(\.tasks.isEmpty) }

    /// The next report; nil while all lanes wait, or nothing is left.
    mutating func next() throws -> Lighter_V1_Report? {
        while var lane = waiting.popLast() {
            if lane.tasks.isEmpty {
                let size = min(batch, left)
                guard size > 0 else { continue }
                left -= size
                for _ in 0..<size { lane.tasks.append(Lighter_V1_WorkloadMessage(make())) }
            }
            var report = Lighter_V1_Report()
            sequence += 1
            report.sequence = sequence
            for index in lane.tasks.indices { try advance(&lane.tasks[index], to: Self.states[lane.state]) }
            report.workloads = lane.tasks
            lanes[report.sequence] = lane
            return report
        }
        return nil
    }

    /// The gateway has a report on its disk: how many updates that were.
    mutating func acknowledge(_ report: UInt64) -> Int {
        guard var lane = lanes.removeValue(forKey: report) else { return 0 }
        let updates = lane.tasks.count
        lane.state += 1
        if lane.state == Self.states.count { lane = Lane(tasks: [], state: 0) }
        waiting.append(lane)
        return updates
    }

    private mutating func advance(_ task: inout Lighter_V1_WorkloadMessage, to state: WorkloadState) throws {
        let id = try WorkloadID(task.id)
        if state != .created {
            checksum.remove(id, Version(epoch: 0, sequence: task.sequence))
            count -= 1
        }
        sequence += 1
        task.sequence = sequence
        task.state = state.rawValue
        if state == .exited { task.exitCode = 0 }
        guard state != .removed else { return }
        checksum.add(id, Version(epoch: 0, sequence: task.sequence))
        count += 1
    }

    private func make() -> Workload {
        let id = WorkloadID.random()
        return Workload(
            id: id, tenant: .main, origin: node, target: node, state: .created, version: Version(epoch: 0, sequence: 0),
            containerID: id.hex + id.hex, name: "task-" + id.hex.prefix(12), image: "simulated")
    }
}
