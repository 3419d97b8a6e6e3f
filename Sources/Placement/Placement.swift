package import Fleet

/// Where a workload runs: a pure function of what was asked, what the fleet looks like and what has been learned.
///
/// The same call serves a device's front door (with the snapshot that was pushed to it) and the gateway (with the whole fleet).
/// Nothing in it waits, fails or draws random numbers: equal arguments give equal decisions, whatever the order of nodes.
package struct Placement: Sendable {
    /// What is kept of the candidates in a decision; a fleet of thousands would make every decision megabytes.
    package static let candidatesShown = 24

    /// Chooses the target of `request`.
    ///
    /// - Parameters:
    ///   - snapshot: All nodes. The origin's own entry should carry what its caller knows best: a device puts its own measures
    ///     and engine state there before it asks. An origin that is not in it is taken as ready and unmeasured.
    ///   - now: Seconds since 1970; goes into the decision only.
    ///   - fleetReachable: False where the gateway is away, so that nothing can be leased: the workload stays.
    ///   - refused: Nodes that turned this workload down a moment ago, with their reason; never chosen.
    ///   - estimates: What has been learned of work and images.
    ///   - memory: Which origins are sending work away under `threshold`; updated.
    ///   - policySource: Who said so, as a person reads it (`label lighter.policy`); empty where it is the default.
    /// - Returns: A decision whose `target` is nil only when the origin cannot take the workload either or an explicit
    ///   `lighter.target` cannot be had; its candidates then say why.
    package static func decide(
        _ request: WorkloadRequest, snapshot: FleetSnapshot, now: Double, fleetReachable: Bool = true,
        refused: [NodeID: String] = [:], estimates: WorkEstimates = WorkEstimates(),
        memory: inout ThresholdMemory, policySource: String = ""
    ) -> Decision {
        Decision(workload: request.id, policy: request.policy.kind, target: request.origin, reason: "")
    }
}
