import Authority
import Fleet
import FoundationEssentials
import Leases
import Ledger
import Logging
import Session
import Wire

extension Gateway {
    func welcome() -> Lighter_V1_Welcome {
        var welcome = Lighter_V1_Welcome()
        welcome.fleet = authority.fleet
        welcome.gatewayVersion = configuration.version
        welcome.policy = Lighter_V1_PolicyOverridesMessage(configuration.policy)
        welcome.heartbeatSeconds = configuration.heartbeat / .seconds(1)
        welcome.fleetEpoch = registry.epoch
        welcome.now = Date().timeIntervalSince1970
        return welcome
    }

    func take(_ heartbeat: Lighter_V1_Heartbeat, of session: AgentSession) {
        var message = heartbeat.node
        message.id = session.node.name
        message.tenant = session.tenant.name
        var ack = Lighter_V1_HeartbeatAck()
        ack.sentAt = heartbeat.sentAt
        // Counted here before it is sent: what is not sent grants less than was counted.
        if let node = try? message.domain() {
            let term = configuration.leases.term(roundTrip: .seconds(min(node.measures.gatewayRTT, 60)))
            if registry.beat(session, node, term: term) { ack.leaseSeconds = term / .seconds(1) }
        }
        ack.wantFullReport = session.wantsFullReport(checksum: heartbeat.checksum, count: heartbeat.workloads)
        session.peer.send(.heartbeatAck(ack))
    }

    /// Applies a report and acknowledges it once it is durable; otherwise the node sends it again.
    func take(_ report: Lighter_V1_Report, of session: AgentSession) async {
        let reported = report.workloads.compactMap { read($0, of: session) }
        do {
            if report.full { try await settle(session.node) }
            var updates = reported.filter { isPermitted($0, from: session) }
            if report.full { updates += try await lost(at: session.node, reported: Set(reported.map(\.id))) }
            let applied = try await ledger.apply(updates.map(WorkloadUpdate.init), from: session.node)
            registry.committed(applied)
            session.note(reported, isFull: report.full)
            try await retire(reported, except: Set(applied.map(\.id)), at: session)
            var ack = Lighter_V1_ReportAck()
            ack.sequence = report.sequence
            session.peer.send(.reportAck(ack))
            await learn(from: applied)
        } catch {
            logger.error(
                "a report was not recorded; the node will send it again",
                metadata: ["node": "\(session.node)", "error": "\(error)"])
        }
    }

    /// Waits until nothing is being taken from a node: it takes for its own what it is not told to give up with its report.
    private func settle(_ node: NodeID) async throws {
        while registry.isReplacing(at: node) { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Has a node give up what it reported and has lost the lease of.
    /// - Parameter applied: what the ledger took over from the report: it is the newest there is.
    private func retire(
        _ reported: [Workload], except applied: Set<WorkloadID>, at session: AgentSession
    ) async throws {
        for workload in reported where workload.state != .removed && !applied.contains(workload.id) {
            if let lease = registry.lease(of: workload.id), lease.epoch <= workload.version.epoch { continue }
            guard let known = try await ledger.workload(workload.id), Replacement.isOver(workload, known: known)
            else { continue }
            retire(known, at: session)
        }
    }

    /// - Parameter known: where it is now; older epochs are over.
    func retire(_ known: Workload, at session: AgentSession) {
        var message = Lighter_V1_Retire()
        message.workload = known.id.hex
        message.epoch = known.version.epoch - 1
        message.reason = "it is at \(known.target) since, in epoch \(known.version.epoch)"
        session.peer.send(.retire(message))
        logger.info(
            "what a node lost the lease of is removed there",
            metadata: ["workload": "\(known.id)", "node": "\(session.node)", "target": "\(known.target)"])
    }

    /// One reported workload, of the node's own tenant and at the node itself, whatever the message says.
    private func read(_ message: Lighter_V1_WorkloadMessage, of session: AgentSession) -> Workload? {
        var message = message
        message.tenant = session.tenant.name
        message.target = session.node.name
        do {
            return try message.domain()
        } catch {
            logger.warning(
                "a reported workload cannot be read", metadata: ["node": "\(session.node)", "error": "\(error)"])
            return nil
        }
    }

    /// A node may speak of what it holds; an epoch that was never given out would outlive every later placement.
    private func isPermitted(_ workload: Workload, from session: AgentSession) -> Bool {
        guard let lease = registry.lease(of: workload.id) else { return true }
        guard lease.tenant == session.tenant else { return false }
        guard workload.version.epoch > lease.epoch, lease.target != session.node else {
            return workload.version.epoch < lease.epoch || lease.target == session.node
        }
        let told: Logger.Metadata = [
            "workload": "\(workload.id)", "node": "\(session.node)", "reported": "\(workload.version.epoch)",
            "ledger": "\(lease.epoch)",
        ]
        if configuration.recoversEpochs {
            logger.notice("an epoch that the ledger had lost is taken in", metadata: told)
        } else {
            logger.error("a node reports an epoch that the ledger does not have: \(LostEpochs.remedy)", metadata: told)
        }
        return configuration.recoversEpochs
    }

    /// What a full report does not hold though it did: removed, with a note.
    private func lost(at node: NodeID, reported: Set<WorkloadID>) async throws -> [Workload] {
        var lost: [Workload] = []
        for id in registry.missing(at: node, reported: reported) {
            guard var workload = try await ledger.workload(id), workload.target == node else { continue }
            workload.state = .removed
            workload.version.sequence += 1
            workload.finishedAt = Date().timeIntervalSince1970
            workload.error = "the container was gone when node \(node) reported all it has"
            lost.append(workload)
        }
        return lost
    }

    /// Learns how much work the runs were that ended just now.
    private func learn(from applied: [Workload]) async {
        var runs: [(key: String, coreSeconds: Double)] = []
        for workload in applied where workload.state == .exited && workload.exitCode == 0 && !workload.workKey.isEmpty {
            guard workload.startedAt > 0, workload.finishedAt > workload.startedAt else { continue }
            let speed = max(0.01, registry[workload.target]?.measures.coreSpeed ?? 1)
            runs.append((workload.workKey, (workload.finishedAt - workload.startedAt) * speed))
        }
        guard !runs.isEmpty else { return }
        registry.learn(runs)
        await withDiscardingTaskGroup { group in
            // Together, so that the ledger commits them together.
            for run in runs {
                group.addTask {
                    do { try await self.ledger.learn(run.key, coreSeconds: run.coreSeconds) } catch {
                        self.logger.warning("a run's duration was not kept", metadata: ["error": "\(error)"])
                    }
                }
            }
        }
    }
}
