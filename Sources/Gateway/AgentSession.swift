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
        /// Reports that have come, and those of them that the mirror holds or that failed.
        var received: UInt64 = 0
        var noted: UInt64 = 0
        /// What a heartbeat said the mirror would be once so many reports are noted.
        var due: (reports: UInt64, checksum: UInt64, count: UInt64)?
        /// Whether the mirror was another than the node's own when it was compared last.
        var isOff = false
        var beatsUntilAsking = 0
        /// What the last heartbeat said that said so.
        var told: (checksum: UInt64, count: UInt64) = (0, 0)

        mutating func compare(_ checksum: UInt64, _ count: UInt64) {
            isOff = self.checksum.value != checksum || UInt64(mirror.count) != count
        }
    }

    let node: NodeID
    let tenant: TenantID
    let peer: ControlPeer
    private let state: Mutex<State>
    private let intake = Mutex(SessionIntake())

    init(node: NodeID, tenant: TenantID, peer: ControlPeer) {
        self.node = node
        self.tenant = tenant
        self.peer = peer
        state = Mutex(State(feed: SessionFeed(node: node, tenant: tenant)))
    }

    /// What the node said of itself in its Hello; before the first push.
    /// - Parameter revision: as of when it knows the fleet from an earlier connection; nil where it does not.
    func begin(resuming revision: UInt64?, unpacks: Bool, knowsItself: Bool) {
        state.withLock { state in
            state.feed = SessionFeed(
                node: node, tenant: tenant, resuming: revision, unpacks: unpacks, knowsItself: knowsItself)
        }
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

    /// What waits of this node's messages, and in which order it is dealt with.
    func intake<Result>(_ body: (inout SessionIntake) -> Result) -> Result { intake.withLock { body(&$0) } }

    /// A report has come; it is owed one `note` or `skip`.
    func expect() { state.withLock { $0.received += 1 } }

    /// A report was not recorded: the node sends it again.
    func skip() { state.withLock { Self.noted(&$0) } }

    /// Notes what a report carried, once it is in the ledger.
    func note(_ workloads: [Workload], isFull: Bool) {
        state.withLock { state in
            defer { Self.noted(&state) }
            if isFull {
                state.mirror = [:]
                state.checksum = InventoryChecksum()
                state.isOff = false
            }
            for workload in workloads {
                if let old = state.mirror.removeValue(forKey: workload.id) { state.checksum.remove(workload.id, old) }
                guard workload.state != .removed else { continue }
                state.mirror[workload.id] = workload.version
                state.checksum.add(workload.id, workload.version)
            }
        }
    }

    private static func noted(_ state: inout State) {
        state.noted += 1
        guard let due = state.due, due.reports <= state.noted else { return }
        state.due = nil
        state.compare(due.checksum, due.count)
    }

    /// Whether the node shall report everything again: it has other versions than it has reported.
    ///
    /// A heartbeat is over all reports before it. Where some of those are not noted yet it is compared once they are, and a later
    /// heartbeat is told. Asked at most every fifth heartbeat, so that a ledger that fails does not make every node report
    /// without end.
    ///
    /// - Parameter inventory: the node's checksum and count of workloads; nil where they are as in the heartbeat before.
    func wantsFullReport(_ inventory: (checksum: UInt64, count: UInt64)?) -> Bool {
        state.withLock { state in
            if let inventory { state.told = inventory }
            let (checksum, count) = state.told
            if state.noted == state.received {
                state.due = nil
                state.compare(checksum, count)
            } else if state.due == nil {
                state.due = (state.received, checksum, count)
            }
            guard state.isOff else {
                state.beatsUntilAsking = 0
                return false
            }
            defer { state.beatsUntilAsking = state.beatsUntilAsking == 0 ? 4 : state.beatsUntilAsking - 1 }
            return state.beatsUntilAsking == 0
        }
    }
}
