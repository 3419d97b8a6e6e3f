/// A container under Lighter's care, as the gateway's ledger holds it.
package struct Workload: Sendable, Hashable, Codable {
    package var id: WorkloadID
    package var tenant: TenantID
    package var origin: NodeID
    /// Where it runs; the origin itself for work that stayed.
    package var target: NodeID
    package var state: WorkloadState
    /// Of the last update that was applied; its epoch is the lease's.
    package var version: Version
    /// The engine's id of the container; empty while pending.
    package var containerID: String
    package var name: String
    package var image: String
    package var resources: Resources
    /// Set once exited.
    package var exitCode: Int32?
    /// The engine's word on why, if it had one.
    package var error: String
    /// Seconds since 1970; zero where it has not happened.
    package var createdAt: Double
    package var startedAt: Double
    package var finishedAt: Double
    package var workKey: String
    package var decision: Decision?

    package init(
        id: WorkloadID, tenant: TenantID, origin: NodeID, target: NodeID, state: WorkloadState = .pending,
        version: Version, containerID: String = "", name: String = "", image: String = "",
        resources: Resources = .none, exitCode: Int32? = nil, error: String = "", createdAt: Double = 0,
        startedAt: Double = 0, finishedAt: Double = 0, workKey: String = "", decision: Decision? = nil
    ) {
        self.id = id
        self.tenant = tenant
        self.origin = origin
        self.target = target
        self.state = state
        self.version = version
        self.containerID = containerID
        self.name = name
        self.image = image
        self.resources = resources
        self.exitCode = exitCode
        self.error = error
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.workKey = workKey
        self.decision = decision
    }
}

/// What a node says of one workload that it holds; part of a report.
package struct WorkloadUpdate: Sendable, Hashable, Codable {
    package var workload: Workload

    package init(_ workload: Workload) { self.workload = workload }
}

extension Workload {
    /// This workload after an update, or nil when the update is not newer and changes nothing.
    ///
    /// Idempotent and order-free: any order and any number of copies of the same updates end in the same workload, as long as
    /// a node that has once said its name, image, work key or time of creation keeps saying it. Tenant and origin are the
    /// placement's: no report changes whose a workload is. The decision is kept when the update is silent on it.
    package func applying(_ update: WorkloadUpdate) -> Workload? {
        let new = update.workload
        guard new.id == id, new.version > version else { return nil }
        var result = new
        result.tenant = tenant
        result.origin = origin
        result.decision = new.decision ?? decision
        if result.name.isEmpty { result.name = name }
        if result.image.isEmpty { result.image = image }
        if result.workKey.isEmpty { result.workKey = workKey }
        if result.createdAt == 0 { result.createdAt = createdAt }
        return result
    }
}
