package import Fleet
package import Link
package import NIOCore

/// What the front door and the agent need of the control plane; fakes conform to it too.
///
/// Everything here may be called from any thread and any task.
package protocol ControlPlane: Sendable {
    var node: NodeID { get }
    var tenant: TenantID { get }
    /// The fleet as the gateway pushed it last; it stays when the gateway is lost.
    var snapshot: FleetSnapshot { get }
    /// Whether the session with the gateway stands at this moment.
    var isConnected: Bool { get }
    /// Seconds by which this machine's clock was ahead of the gateway's when the session began; nil before the first.
    var clockLead: Double? { get }
    /// The gateway's default policy, below the device's own.
    var gatewayPolicy: PolicyOverrides { get }

    /// Asks the gateway for a target and a lease. Retrying with the same workload id is safe: the newest epoch counts.
    /// - Parameter refused: nodes that turned this workload down just now, with the reason each.
    /// - Throws: `.unavailable` or `.timedOut` when the gateway cannot answer: the caller runs the work locally.
    func place(_ request: WorkloadRequest, refused: [NodeID: String]) async throws(SessionError) -> Placed
    /// Asks for another target for a workload whose node is lost; `epoch` is that of the lease to be replaced.
    /// - Returns: a placement; one with `wait` set says nothing but when to ask again.
    /// - Throws: `.conflict` when the lease stands; the rest as `place`.
    /// - Parameter isMove: the node is not lost: the workload was stopped there to run elsewhere.
    func replace(
        _ request: WorkloadRequest, epoch: UInt64, isMove: Bool, refused: [NodeID: String]
    ) async throws(SessionError) -> Placed
    /// How long a node may believe in its leases after a heartbeat, as the gateway said last.
    var leaseTerm: Duration { get }
    /// Gives a lease back before a container existed. Best effort: a lost one expires at the gateway by itself.
    func abandon(_ workload: WorkloadID, epoch: UInt64, reason: String) async
    /// Tells the gateway what becomes of this node's workloads at one that is drained: all of them. Best effort.
    /// - Parameter withState: how it is drained; the rows say nothing of a drain in another mode.
    func report(_ rows: [DrainedWorkload], atDrained node: NodeID, withState: Bool)
    /// A fresh signed ticket for a workload of this origin.
    func ticket(for workload: WorkloadID) async throws(SessionError) -> [UInt8]
    /// The shared link to a node: direct when it can be reached, else relayed. Concurrent callers share one attempt.
    func link(to node: NodeID) async throws(SessionError) -> LinkConnection
    /// The shared link to a node if it stands, without dialling.
    func existingLink(to node: NodeID) -> LinkConnection?
    /// Tells the gateway a workload's new state at this node. The sequence number of its version is set here; never blocks.
    func report(_ workload: Workload)
    /// Says that every workload of this node has been reported once, so that what was not is gone. Until then the gateway
    /// takes no workload for lost.
    func inventoryIsComplete()
}

extension ControlPlane {
    package func inventoryIsComplete() {}
    package func report(_ rows: [DrainedWorkload], atDrained node: NodeID, withState: Bool) {}
    package var clockLead: Double? { nil }
    package var leaseTerm: Duration { .milliseconds(2500) }
    package func replace(
        _ request: WorkloadRequest, epoch: UInt64, isMove: Bool, refused: [NodeID: String]
    ) async throws(SessionError) -> Placed {
        throw SessionError(.unavailable, "there is no gateway")
    }

    /// Opens a stream to a node's guard, dialling a link where none stands; Docker's HTTP may be written at once.
    /// - Parameter initializer: installs the caller's handlers; runs on the link's event loop.
    package func openDockerStream(
        to node: NodeID, ticket: [UInt8], purpose: String,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws(SessionError) -> any Channel {
        let link = try await link(to: node)
        do {
            return try await link.openDockerStream(ticket: ticket, purpose: purpose, initializer).get()
        } catch {
            throw SessionError(.unavailable, "the link to \(node) did not open a stream", cause: error)
        }
    }
}

/// The gateway's answer to a placement.
package struct Placed: Sendable {
    package var decision: Decision
    /// The lease's epoch; for work that stays at the origin too, to be set in its reports.
    package var epoch: UInt64
    /// The signed ticket for the target's guard; empty when the target is the origin itself or there is none.
    package var ticket: [UInt8]
    /// Where the target's agent can be dialled directly, `host:port`.
    package var addresses: [String]
    /// Nil for a placement; otherwise after how long it is worth asking again.
    package var wait: Duration?

    package init(
        decision: Decision, epoch: UInt64 = 0, ticket: [UInt8] = [], addresses: [String] = [], wait: Duration? = nil
    ) {
        self.wait = wait
        self.decision = decision
        self.epoch = epoch
        self.ticket = ticket
        self.addresses = addresses
    }
}
