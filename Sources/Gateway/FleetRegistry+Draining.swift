import Fleet
import Synchronization

/// Nodes that take no new work, and how often nodes were lost: what the gateway alone says of a node.
extension FleetRegistry {
    /// - Parameters:
    ///   - since: in seconds since 1970; nil: it takes work again.
    ///   - withState: what leaves it takes along what it wrote.
    func drain(_ node: NodeID, since: Double?, withState: Bool) {
        state.withLock { state in
            let wasWithState = state.view[node]?.drainsWithState
            state.view.drain(node, since: since, withState: withState)
            // What devices said holds for the drain that they knew.
            if since == nil || withState != wasWithState { state.drains[node] = nil }
        }
        announce()
    }

    /// Since when nodes are drained, and whether with state, for a setting: a line each.
    var drainedText: String {
        let drained = snapshot(of: nil).nodes.compactMap { node in
            node.drainedSince.map { "\(node.id) \($0)\(node.drainsWithState ? " state" : "")" }
        }
        return drained.joined(separator: "\n")
    }

    /// How often nodes were lost, for a setting: a line each; nil where it is as before.
    func newLosses(now: Double) -> String? {
        let hasNew = state.withLock { state in
            defer { state.view.hasNewLosses = false }
            return state.view.hasNewLosses
        }
        guard hasNew else { return nil }
        return snapshot(of: nil).nodes.compactMap { node in
            guard let losses = node.losses, losses.count(at: now) > RecentLosses.least else { return nil }
            return "\(node.id) \(losses.counted) \(losses.countedAt)"
        }.joined(separator: "\n")
    }

    func keepLossesAgain() { state.withLock { $0.view.hasNewLosses = true } }

    /// Takes in what a device says of its workloads at a node that is drained, unless it is by now in another mode.
    func note(_ rows: [DrainedWorkload], at node: NodeID, withState: Bool, of origin: NodeID) {
        state.withLock { state in
            guard let known = state.view[node], known.drainedSince != nil, known.drainsWithState == withState else {
                return
            }
            state.drains[node, default: [:]][origin] = rows
        }
    }

    /// Those of which their devices say that they are just on their way from a node that is drained: stopped, for a while, at times.
    func moving(from node: NodeID) -> [DrainedWorkload] {
        state.withLock { state in
            (state.drains[node] ?? [:]).filter { state.sessions[$0.key] != nil }.values
                .flatMap { $0.filter { $0.standing == .moving } }
        }
    }

    /// What is known of a workload at a node that is drained.
    func standing(of workload: Workload) -> DrainedWorkload {
        state.withLock { state in
            var row = DrainedWorkload(
                id: workload.id, name: workload.name, origin: workload.origin, standing: .unseen)
            if let known = state.drains[workload.target]?[workload.origin]?.first(where: { $0.id == workload.id }) {
                (row.standing, row.reason) = (known.standing, known.reason)
            }
            if state.view[workload.target]?.state == .unreachable {
                row.standing = .away
                row.reason =
                    "node \(workload.target) is unreachable: this is begun elsewhere where its lighter.loss says so, "
                    + "else it waits for the node"
            }
            if state.sessions[workload.origin] == nil {
                row.standing = .away
                row.reason = "device \(workload.origin) is away; it is moved when that is back"
            }
            return row
        }
    }
}
