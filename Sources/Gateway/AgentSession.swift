import Fleet
import NIOCore
import Session
import Synchronization
import Wire

/// A connected node.
final class AgentSession: Sendable {
    private struct State {
        /// The view's revision that the node has been pushed; nil before the first push.
        var pushed: UInt64?
        /// What the node has reported on this connection, and the sum over it.
        var mirror: [WorkloadID: Version] = [:]
        var checksum = InventoryChecksum()
        var beatsUntilAsking = 0
    }

    let node: NodeID
    let tenant: TenantID
    let peer: ControlPeer
    private let state = Mutex(State())

    init(node: NodeID, tenant: TenantID, peer: ControlPeer) {
        self.node = node
        self.tenant = tenant
        self.peer = peer
    }

    var pushed: UInt64? { state.withLock { $0.pushed } }

    /// Sends a push and remembers what the node knows by it. A node that does not read is left for a later push.
    func push(_ message: Lighter_V1_FleetPush) {
        guard peer.channel.isWritable else { return }
        state.withLock { state in
            guard message.full || state.pushed ?? 0 < message.revision else { return }
            state.pushed = message.revision
            peer.send(.fleetPush(message))
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
