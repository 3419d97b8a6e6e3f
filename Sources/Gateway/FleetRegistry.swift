import Fleet
import Leases
import NIOCore
import Placement
import Synchronization
import Wire

/// The gateway's memory: its view of the fleet, who is connected, and what placement has learned. Safe from any task.
final class FleetRegistry: Sendable {
    struct State {
        var view: FleetView
        var parts = PushParts()
        var rankings: [TenantID: LoadRanking] = [:]
        var rankedAt: NIODeadline?
        var sessions: [NodeID: AgentSession] = [:]
        /// Sessions that came since the last pass of pushes.
        var arrivals = 0
        /// Arrivals of late, those of longer ago weighing less.
        var crowd = 0.0
        var estimates = WorkEstimates()
        var thresholds = ThresholdMemory()
        /// The image of each lease that is under way, to learn where it is once the container exists.
        var images: [WorkloadID: String] = [:]
        /// What nodes have been granted; of those not heard since the start, what an earlier gateway may have.
        var grants: [NodeID: GrantedLease] = [:]
        let formerGrants: GrantedLease
        /// Workloads that are being taken from a node.
        var replacing: [NodeID: Set<WorkloadID>] = [:]
        /// What devices have said of their workloads at nodes that are drained, by node and device.
        var drains: [NodeID: [NodeID: [DrainedWorkload]]] = [:]

        func lease(of node: NodeID) -> GrantedLease { grants[node] ?? formerGrants }
    }

    /// A lease that has been decided and counted, but not yet committed.
    struct Reservation: Sendable {
        var decision: Decision
        /// The lease to commit; nil where nothing can have the workload.
        var lease: Workload?
        fileprivate var former: FleetView.Lease?
    }

    let state: Mutex<State>
    /// Drawn anew at each start: revisions of one epoch follow each other.
    let epoch = UInt64.random(in: 1 ... .max)
    /// Where the next pass of pushes begins, so that none is always the last.
    let nextPass = Atomic<Int>(0)
    /// Yields when nodes should hear of a change soon; changes that come together make one.
    let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    /// - Parameter formerGrants: what a gateway before this one may have granted to any node.
    init(view: FleetView, formerGrants: GrantedLease) {
        state = Mutex(State(view: view, formerGrants: formerGrants))
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Ends `changes`.
    func finish() { changed.finish() }
    func announce() { changed.yield() }

    /// Loads are news at once only where there are few to tell.
    private func announceLoads() {
        if state.withLock({ $0.sessions.count <= Self.fewSessions }) { announce() }
    }

    private static let fewSessions = 64

    // MARK: - Nodes

    subscript(id: NodeID) -> Node? { state.withLock { $0.view[id] } }
    func snapshot(of tenant: TenantID?) -> FleetSnapshot { state.withLock { $0.view.snapshot(of: tenant) } }

    /// The session of a connected node of the tenant.
    func session(of node: NodeID, in tenant: TenantID) -> AgentSession? {
        state.withLock { $0.sessions[node] }.flatMap { $0.tenant == tenant ? $0 : nil }
    }

    /// Whether a node of the tenant is late.
    func suspects(_ tenant: TenantID) -> Bool {
        state.withLock { state in
            state.view.entries.values.contains { $0.node.state == .suspect && $0.node.tenant == tenant }
        }
    }

    func isKnown(_ node: NodeID, in tenant: TenantID) -> Bool {
        state.withLock { $0.view[node]?.tenant == tenant }
    }

    /// Puts a session in its node's place and answers the one that was there.
    func attach(_ session: AgentSession, _ node: Node) -> AgentSession? {
        defer { announce() }
        return state.withLock { state in
            _ = state.view.heard(node, now: .now())
            state.arrivals += 1
            return state.sessions.updateValue(session, forKey: session.node)
        }
    }

    /// A session ended; its node is lost unless a newer session has taken its place.
    func detach(_ session: AgentSession) {
        state.withLock { state in
            guard state.sessions[session.node] === session else { return }
            state.sessions[session.node] = nil
            state.view.lost(session.node, now: .now())
        }
    }

    /// Takes in a heartbeat, and that leases of the node stand for a while after it.
    ///
    /// - Parameter leases: nil where the node asks for none.
    /// - Returns: for how long leases stand; nil for none, also where another session has taken this one's place.
    func beat(_ session: AgentSession, _ news: HeartbeatNews, grants leases: LeaseTerms?) -> Duration? {
        let now = NIODeadline.now()
        let (term, isUrgent) = state.withLock { state -> (Duration?, Bool) in
            guard state.sessions[session.node] === session else { return (nil, false) }
            var isUrgent = false
            if news != .none || !state.view.heardAgain(session.node, now: now) {
                guard let node = news.node(knowing: state.view.said(session.node)) else { return (nil, false) }
                state.thresholds.observe(node)
                isUrgent = state.view.heard(node, now: now)
            }
            guard let leases, let measures = state.view[session.node]?.measures else { return (nil, isUrgent) }
            let term = leases.term(roundTrip: .seconds(min(measures.gatewayRTT, 60)))
            var lease = state.lease(of: session.node)
            lease.grant(UInt64(TimeAmount(term).nanoseconds), at: now.uptimeNanoseconds)
            state.grants[session.node] = lease
            return (term, isUrgent)
        }
        if isUrgent { announce() }
        return term
    }

    func checkHealth(heartbeat: TimeAmount) {
        if state.withLock({ $0.view.check(now: .now(), heartbeat: heartbeat) }) { announce() }
    }

    /// Lost nodes about which connected ones are to be asked now.
    func questions() -> [(node: Node, asked: [AgentSession])] {
        state.withLock { state in
            let questions = state.view.questions(now: .now())
            return questions.map { ($0.node, $0.asked.compactMap { state.sessions[$0] }) }
        }
    }

    /// Returns whether that is news.
    func note(_ opinion: SecondOpinion, of node: NodeID) -> Bool {
        let isNews = state.withLock { $0.view.note(opinion, of: node) }
        if isNews { announce() }
        return isNews
    }

    func isConnected(_ node: NodeID) -> Bool { state.withLock { $0.sessions[node] != nil } }

    /// A machine joined: it is known from here on.
    func joined(_ name: NodeID, tenant: TenantID) {
        state.withLock { $0.view.joined(Node(id: name, tenant: tenant, state: .unreachable), now: .now()) }
        announce()
    }

    // MARK: - Replacing

    /// Whether a workload's lease may be replaced. If so, the node that had it is not confirmed anything before
    /// `endReplacing`: it would take what it has for its own.
    func beginReplacing(_ known: Workload?, epoch: UInt64, margin: Duration, isMove: Bool) -> Replacement {
        state.withLock { state in
            let now = NIODeadline.now().uptimeNanoseconds
            let node = known?.target
            let verdict = Replacement.judge(
                epoch: epoch, known: known, isHeard: node.map { state.view.hears($0) } ?? false,
                lease: node.map { state.lease(of: $0) } ?? state.formerGrants,
                margin: UInt64(TimeAmount(margin).nanoseconds), now: now, isMove: isMove)
            if let known, verdict == .granted { state.replacing[known.target, default: []].insert(known.id) }
            return verdict
        }
    }

    func endReplacing(_ workload: WorkloadID, at node: NodeID) {
        state.withLock { state in
            state.replacing[node]?.remove(workload)
            if state.replacing[node]?.isEmpty ?? false { state.replacing[node] = nil }
        }
    }

    func isReplacing(at node: NodeID) -> Bool { state.withLock { $0.replacing[node] != nil } }

    // MARK: - Placement

    /// Decides, and counts the lease at once, so that the next decision sees it.
    func reserve(_ request: WorkloadRequest, refused: [NodeID: String], now: Double) -> Reservation {
        defer { announceLoads() }
        return state.withLock { state in
            // What an earlier try of the same workload holds must not stand in its own way.
            let former = state.view.release(request.id)
            let decision = Placement.decide(
                request, snapshot: state.view.snapshot(of: request.tenant), now: now, refused: refused,
                estimates: state.estimates, memory: &state.thresholds)
            guard let target = decision.target else {
                if let former { state.view.restore(request.id, former) }
                return Reservation(decision: decision, lease: nil, former: former)
            }
            let lease = Workload(
                id: request.id, tenant: request.tenant, origin: request.origin, target: target,
                version: Version(epoch: former?.epoch ?? 0, sequence: 0), name: request.name, image: request.image,
                resources: request.resources, createdAt: now, workKey: request.workKey, decision: decision)
            state.view.hold(lease)
            if !request.imageID.isEmpty { state.images[request.id] = request.imageID }
            return Reservation(decision: decision, lease: lease, former: former)
        }
    }

    /// The commit failed: everything is as it was before `reserve`.
    func undo(_ reservation: Reservation) {
        guard let lease = reservation.lease else { return }
        state.withLock { state in
            _ = state.view.release(lease.id)
            state.images[lease.id] = nil
            if let former = reservation.former { state.view.restore(lease.id, former) }
        }
        announceLoads()
    }

    func lease(of workload: WorkloadID) -> FleetView.Lease? { state.withLock { $0.view.leases[workload] } }

    /// What `body` makes of the leases as they are now, by workload.
    func withLeases<Result: Sendable>(_ body: ([WorkloadID: FleetView.Lease]) -> Result) -> Result {
        state.withLock { body($0.view.leases) }
    }

    /// Takes in what the ledger has committed. Returns those that have just given their capacity back.
    func committed(_ workloads: [Workload]) {
        guard !workloads.isEmpty else { return }
        state.withLock { state in
            for workload in workloads {
                state.view.hold(workload)
                guard workload.state != .pending else { continue }
                if let image = state.images.removeValue(forKey: workload.id) {
                    state.estimates.note(image: image, at: workload.target, present: workload.state != .removed)
                }
            }
        }
        announceLoads()
    }

    /// Learns from runs that have ended; `runs` carry work in seconds of a reference core.
    func learn(_ runs: [(key: String, coreSeconds: Double)]) {
        state.withLock { state in
            for run in runs { state.estimates.learn(run.key, coreSeconds: run.coreSeconds) }
        }
    }

    func knowsWork(_ key: String) -> Bool { state.withLock { $0.estimates.work(key) != nil } }

    /// Live workloads of `node` that have a container and are not among `reported`.
    func missing(at node: NodeID, reported: Set<WorkloadID>) -> [WorkloadID] {
        state.withLock { state in
            state.view.leases(at: node).filter { id in
                state.view.leases[id]?.isPending == false && !reported.contains(id)
            }
        }
    }

    /// Leases without a container that were made before `time`, in seconds since 1970.
    func stale(before time: Double) -> [(id: WorkloadID, lease: FleetView.Lease)] {
        state.withLock { state in
            state.view.leases.filter { $0.value.isPending && $0.value.createdAt < time }.map { ($0.key, $0.value) }
        }
    }
}
