import Fleet
import Link
import Session
import Synchronization

/// A control plane that answers as a test tells it to.
final class FakePlane: ControlPlane {
    typealias Place = @Sendable (_ request: WorkloadRequest, _ refused: [NodeID: String]) throws(SessionError) -> Placed

    struct Abandoned: Hashable {
        var workload: WorkloadID
        var epoch: UInt64
    }

    private struct State {
        var snapshot = FleetSnapshot()
        var isConnected = true
        var policy = PolicyOverrides()
        var place: Place = { _, _ throws(SessionError) in throw SessionError(.unavailable, "the gateway is away") }
        var asked: [WorkloadRequest] = []
        var abandoned: [Abandoned] = []
        var links: [NodeID: LinkConnection] = [:]
        var hidesLinks = false
        var ticket: [UInt8]?
        var drainReports: [[DrainedWorkload]] = []
    }

    let node: NodeID
    let tenant = TenantID.main
    private let state = Mutex(State())

    init(node: NodeID) { self.node = node }

    var snapshot: FleetSnapshot {
        get { state.withLock { $0.snapshot } }
        set { state.withLock { $0.snapshot = newValue } }
    }
    var isConnected: Bool {
        get { state.withLock { $0.isConnected } }
        set { state.withLock { $0.isConnected = newValue } }
    }
    var gatewayPolicy: PolicyOverrides { state.withLock { $0.policy } }
    /// The gateway's policy.
    func govern(_ kind: Policy.Kind) { state.withLock { $0.policy.kind = kind } }
    func answerPlacements(_ place: @escaping Place) { state.withLock { $0.place = place } }
    func put(_ link: LinkConnection, to node: NodeID) { state.withLock { $0.links[node] = link } }
    /// Links are there, but each caller has to ask and wait for one.
    func hideLinks() { state.withLock { $0.hidesLinks = true } }
    func renewTickets(with ticket: [UInt8]) { state.withLock { $0.ticket = ticket } }

    var placementsAsked: [WorkloadRequest] { state.withLock { $0.asked } }
    var abandoned: [Abandoned] { state.withLock { $0.abandoned } }

    func place(_ request: WorkloadRequest, refused: [NodeID: String]) async throws(SessionError) -> Placed {
        let place = state.withLock { state in
            state.asked.append(request)
            return state.place
        }
        return try place(request, refused)
    }

    func abandon(_ workload: WorkloadID, epoch: UInt64, reason: String) async {
        state.withLock { $0.abandoned.append(Abandoned(workload: workload, epoch: epoch)) }
    }

    func ticket(for workload: WorkloadID) async throws(SessionError) -> [UInt8] {
        guard let ticket = state.withLock({ $0.ticket }) else {
            throw SessionError(.unavailable, "the gateway is away")
        }
        return ticket
    }

    func link(to node: NodeID) async throws(SessionError) -> LinkConnection {
        guard let link = state.withLock({ $0.links[node] }), link.isActive else {
            throw SessionError(.unavailable, "node \(node) cannot be reached")
        }
        return link
    }

    func existingLink(to node: NodeID) -> LinkConnection? {
        state.withLock { $0.hidesLinks ? nil : $0.links[node].flatMap { $0.isActive ? $0 : nil } }
    }

    func report(_ workload: Workload) {}

    var drainReports: [[DrainedWorkload]] { state.withLock { $0.drainReports } }
    func report(_ rows: [DrainedWorkload], atDrained node: NodeID, withState: Bool) {
        state.withLock { $0.drainReports.append(rows) }
    }
}
