package import Fleet

/// Where a workload runs: a pure function of what was asked, what the fleet looks like and what has been learned.
///
/// The same call serves a device's front door (with the snapshot that was pushed to it) and the gateway (with the whole fleet).
/// Nothing in it waits, fails or draws random numbers: equal arguments give equal decisions, whatever the order of nodes.
package struct Placement: Sendable {
    /// How many candidates a decision keeps; all those of a large fleet would make every decision megabytes.
    package static let candidatesShown = 24

    /// Chooses the target of `request`.
    ///
    /// - Parameters:
    ///   - snapshot: All nodes. The origin's own entry should carry what its caller knows best: a device puts its own measures
    ///     and engine state there before it asks. An origin that is not in it is taken as ready and unmeasured.
    ///   - now: Seconds since 1970; goes into the decision, and says how long ago nodes were lost.
    ///   - fleetReachable: False where the gateway is away, so that nothing can be leased: the workload stays.
    ///   - refused: Nodes that turned this workload down a moment ago, with their reason; never chosen.
    ///   - estimates: What has been learned of work and images.
    ///   - memory: Which origins are sending work away under `threshold`; updated.
    ///   - policySource: Who set the policy, as a person reads it (`label lighter.policy`); empty: as the request says.
    /// - Returns: A decision whose `target` is nil only when the origin cannot take the workload either, or when an explicit
    ///   `lighter.target` cannot be had; its candidates and `reason` then say why.
    package static func decide(
        _ request: WorkloadRequest, snapshot: FleetSnapshot, now: Double, fleetReachable: Bool = true,
        refused: [NodeID: String] = [:], estimates: WorkEstimates = WorkEstimates(),
        memory: inout ThresholdMemory, policySource: String = ""
    ) -> Decision {
        let question = Question(request, snapshot: snapshot, refused: refused, estimates: estimates, now: now)
        let placement = Placement(
            question: question, snapshot: snapshot, fleetReachable: fleetReachable,
            originRefusals: Filters.origin(question).refusals(of: question.origin))
        var decision = placement.decision(memory: &memory)
        decision.snapshotRevision = snapshot.revision
        decision.decidedAt = now
        let source = [policySource, request.policySource].first { !$0.isEmpty } ?? "default"
        decision.reason += " (policy \(request.policy.kind.rawValue), \(source))"
        return decision
    }

    let question: Question
    let snapshot: FleetSnapshot
    let fleetReachable: Bool
    /// What stands against the origin, whatever the policy.
    let originRefusals: [Refusal]

    var request: WorkloadRequest { question.request }
    var origin: NodeID { question.request.origin }

    private func decision(memory: inout ThresholdMemory) -> Decision {
        if let target = request.policy.target {
            let cause = request.targetReason.isEmpty ? "lighter.target names it" : request.targetReason
            return target == origin ? staying(cause) : explicit(target, because: cause)
        }
        if let affinity = request.affinity {
            guard affinity.node == origin else { return explicit(affinity.node, because: affinity.reason) }
            let warnings = request.policy.kind == .remote ? ["runs on \(origin): \(affinity.reason)"] : []
            return staying(affinity.reason, warnings: warnings)
        }
        if request.policy.kind == .local { return staying("the policy keeps work on its origin") }
        if !request.ties.isEmpty {
            let tie = "the container uses \(Text.list(request.ties)), which only \(origin) has"
            return staying(tie, warnings: request.policy.kind == .remote ? ["runs on \(origin): \(tie)"] : [])
        }
        switch request.policy.kind {
        case .local, .remote: return byLoad(because: nil)
        case .threshold: return byThreshold(memory: &memory)
        case .completion: return byCompletion()
        }
    }
}
