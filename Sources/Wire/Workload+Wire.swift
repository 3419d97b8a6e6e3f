package import Fleet

extension Lighter_V1_WorkloadMessage {
    package init(_ workload: Workload) {
        self.init()
        id = workload.id.hex
        tenant = workload.tenant.name
        origin = workload.origin.name
        target = workload.target.name
        state = workload.state.rawValue
        epoch = workload.version.epoch
        sequence = workload.version.sequence
        containerID = workload.containerID
        name = workload.name
        image = workload.image
        cpus = workload.resources.cpus
        memory = workload.resources.memory.bytes
        if let code = workload.exitCode { exitCode = code }
        error = workload.error
        createdAt = workload.createdAt
        startedAt = workload.startedAt
        finishedAt = workload.finishedAt
        workKey = workload.workKey
        if let decision = workload.decision { self.decision = Lighter_V1_DecisionMessage(decision) }
    }

    /// A decision that this version cannot read is left out: it explains, and nothing depends on it.
    /// - Throws: `WireError.unknownWord` for a state of a newer version, `.invalid` naming the field.
    package func domain() throws(WireError) -> Workload {
        try domain(
            of: try WireField.tenant(tenant, "workload.tenant"), at: try WireField.node(target, "workload.target"))
    }

    /// As `domain()`, with the tenant and target that the caller knows, whatever the message says.
    package func domain(of tenant: TenantID, at target: NodeID) throws(WireError) -> Workload {
        guard let state = WorkloadState(rawValue: state) else {
            throw WireError(
                .unknownWord,
                "workload.state: '\(state)' of \(id) is not known here; the peer may be newer: update this side")
        }
        return Workload(
            id: try WireField.workload(id, "workload.id"),
            tenant: tenant,
            // Most work is at its origin: its name is not checked once more.
            origin: origin == target.name ? target : try WireField.node(origin, "workload.origin"),
            target: target,
            state: state,
            version: Version(epoch: epoch, sequence: sequence),
            containerID: containerID, name: name, image: image,
            resources: Resources(
                cpus: try WireField.amount(cpus, "workload.cpus"),
                memory: try WireField.bytes(memory, "workload.memory")),
            exitCode: hasExitCode ? exitCode : nil,
            error: error,
            createdAt: try WireField.amount(createdAt, "workload.created_at"),
            startedAt: try WireField.amount(startedAt, "workload.started_at"),
            finishedAt: try WireField.amount(finishedAt, "workload.finished_at"),
            workKey: workKey,
            decision: hasDecision ? try? decision.domain() : nil)
    }
}
