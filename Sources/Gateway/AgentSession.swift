import Fleet
import NIOCore
import Session
import Synchronization

/// A connected node.
final class AgentSession: Sendable {
    private struct State {
        var feed: SessionFeed
        /// Whether a part is on its way to the connection: a node that reads slowly has no second one waiting in memory.
        var isSending = false
        /// Whether it had its turn meanwhile.
        var wasPassedOver = false
        /// What the node has reported on this connection, and the sum over it.
        var mirror: [WorkloadID: Version] = [:]
        var checksum = InventoryChecksum()
        var beatsUntilAsking = 0
    }

    let node: NodeID
    let tenant: TenantID
    let peer: ControlPeer
    private let state: Mutex<State>

    init(node: NodeID, tenant: TenantID, peer: ControlPeer) {
        self.node = node
        self.tenant = tenant
        self.peer = peer
        state = Mutex(State(feed: SessionFeed(node: node, tenant: tenant)))
    }

    /// The node knows the fleet as of a revision from an earlier connection; before the first push.
    func resume(at revision: UInt64) {
        state.withLock { $0.feed = SessionFeed(node: node, tenant: tenant, resuming: revision) }
    }

    /// Sends the next part of the states that the node does not know. One that does not read is left for a later push.
    ///
    /// Sent under the lock, so that pushes arrive in the order of their revisions.
    ///
    /// - Parameter isReady: called when the node can take more, where there is or may be more.
    func pushStates(
        of view: inout FleetView, _ parts: inout PushParts, isReady: @escaping @Sendable () -> Void
    ) -> SessionFeed.Part? {
        guard peer.channel.isWritable else { return nil }
        return state.withLock { state in
            guard !state.isSending else {
                state.wasPassedOver = true
                return nil
            }
            guard let part = state.feed.states(of: &view, &parts) else { return nil }
            state.isSending = true
            state.wasPassedOver = part.more
            peer.send(encoded: part.frame).whenComplete { _ in
                let isWaiting = self.state.withLock { state in
                    state.isSending = false
                    return state.wasPassedOver
                }
                if isWaiting { isReady() }
            }
            return part
        }
    }

    /// Sends loads, if it is time.
    func pushLoads(of view: inout FleetView, _ pace: PushPace, _ ranking: LoadRanking?, now: NIODeadline) {
        guard peer.channel.isWritable else { return }
        state.withLock { state in
            guard !state.isSending, let frame = state.feed.loads(of: &view, pace, ranking, now: now) else { return }
            _ = peer.send(encoded: frame)
        }
    }

    // MARK: - What the node has said

    /// Notes what a report carried, once it is in the ledger.
    func note(_ workloads: [Workload], isFull: Bool) {
        state.withLock { state in
            if isFull {
                state.mirror = [:]
                state.checksum = InventoryChecksum()
            }
            for workload in workloads {
                if let old = state.mirror.removeValue(forKey: workload.id) { state.checksum.remove(workload.id, old) }
                guard workload.state != .removed else { continue }
                state.mirror[workload.id] = workload.version
                state.checksum.add(workload.id, workload.version)
            }
        }
    }

    /// Whether the node shall report everything again: it has other versions than it has reported.
    ///
    /// Asked at most every fifth heartbeat, so that a ledger that fails does not make every node report without end.
    func wantsFullReport(checksum: UInt64, count: UInt64) -> Bool {
        state.withLock { state in
            guard state.checksum.value != checksum || UInt64(state.mirror.count) != count else {
                state.beatsUntilAsking = 0
                return false
            }
            defer { state.beatsUntilAsking = state.beatsUntilAsking == 0 ? 4 : state.beatsUntilAsking - 1 }
            return state.beatsUntilAsking == 0
        }
    }
}
