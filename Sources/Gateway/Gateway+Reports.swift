import Authority
import Fleet
import FoundationEssentials
import Leases
import Ledger
import Logging
import NIOCore
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
        welcome.leanHeartbeats = true
        welcome.terseHeartbeats = true
        return welcome
    }

    func take(_ said: Lighter_V1_Heartbeat, of session: AgentSession) {
        let heartbeat = said.spelledOut
        var ack = Lighter_V1_HeartbeatAck()
        ack.sentAt = heartbeat.sentAt
        if let news = try? news(heartbeat, of: session) {
            // Counted before it is sent: what is not sent grants less than was counted.
            let term = registry.beat(session, news, grants: heartbeat.quiet ? nil : configuration.leases)
            if let term { ack.leaseSeconds = term / .seconds(1) }
        }
        let inventory = heartbeat.same ? nil : (heartbeat.checksum, heartbeat.workloads)
        ack.wantFullReport = session.wantsFullReport(inventory)
        guard !heartbeat.quiet || ack.wantFullReport else { return }
        session.peer.send(.heartbeatAck(ack))
    }

    /// What a heartbeat says of its node, which is the session's own whatever it says.
    private func news(_ heartbeat: Lighter_V1_Heartbeat, of session: AgentSession) throws(WireError) -> HeartbeatNews {
        guard heartbeat.hasNode else { return .none }
        if heartbeat.loneMeasures { return .measures(try heartbeat.node.measures.domain()) }
        var message = heartbeat.node
        message.id = session.node.name
        message.tenant = session.tenant.name
        return .node(try message.domain())
    }

    /// Applies reports that came together and acknowledges each once it is durable; the others the node sends again.
    func record(_ entries: [ReportQueue.Entry]) async {
        var reports: [Reported] = []
        for (index, entry) in entries.enumerated() {
            for report in entry.reports {
                reports.append(Reported(report, entry: index, workloads: read(report, of: entry.session)))
            }
        }
        let (permitted, formers) = registry.withLeases { leases in
            let permitted = reports.map { report in
                let session = entries[report.entry].session
                return ReportedUpdates(
                    report.workloads.lazy.filter { self.isPermitted($0, from: session, leases[$0.id]) }
                        .map(WorkloadUpdate.init), from: session.node)
            }
            return (permitted, reports.map { self.formers($0.workloads, entries[$0.entry].session, leases) })
        }
        let outcomes = await ledger.apply(permitted)
        registry.committed(outcomes.flatMap { (try? $0.get()) ?? [] })
        var acknowledged = [[UInt64]](repeating: [], count: entries.count)
        for ((report, formers), outcome) in zip(zip(reports, formers), outcomes) {
            let session = entries[report.entry].session
            do {
                let applied = try outcome.get()
                if applied.count < report.workloads.count {
                    try await retire(report.workloads, except: Set(applied.map(\.id)), at: session)
                }
                session.note(report.workloads, isFull: false)
                acknowledged[report.entry].append(report.sequence)
                retire(applied, at: formers)
                tellOrigins(of: applied)
                learn(from: applied)
            } catch {
                session.skip()
                notRecorded(error, session)
            }
        }
        acknowledge(acknowledged, entries)
    }

    /// A device hears at once of what has ended elsewhere, and how.
    private func tellOrigins(of workloads: [Workload]) {
        for workload in workloads where workload.state == .exited && workload.origin != workload.target {
            guard let end = WorkloadEnd(workload) else { continue }
            registry.session(of: workload.origin, in: workload.tenant)?.peer.send(.endPush(Lighter_V1_EndPush(end)))
        }
    }

    /// What a report of changes says.
    private struct Reported {
        var sequence: UInt64
        var entry: Int
        var workloads: [Workload]

        init(_ report: Lighter_V1_Report, entry: Int, workloads: [Workload]) {
            sequence = report.sequence
            self.entry = entry
            self.workloads = workloads
        }
    }

    /// Acknowledges reports, and goes on with what their nodes have said meanwhile: once on each event loop for all of its nodes.
    private func acknowledge(_ sequences: [[UInt64]], _ entries: [ReportQueue.Entry]) {
        let byLoop = Dictionary(grouping: entries.indices) {
            ObjectIdentifier(entries[$0].session.peer.channel.eventLoop)
        }
        for indices in byLoop.values {
            entries[indices[0]].session.peer.channel.eventLoop.execute {
                for index in indices {
                    let session = entries[index].session
                    session.peer.acknowledge(sequences[index])
                    session.peer.finished(entries[index].reports.count)
                    self.begin(session.intake { $0.recorded() }, of: session)
                }
            }
        }
    }

    /// Applies a report of all that a node has, as `record` does others.
    func record(full report: Lighter_V1_Report, of session: AgentSession) async {
        let reported = read(report, of: session)
        do {
            try await settle(session.node)
            var (updates, formers) = registry.withLeases { leases in
                (
                    reported.filter { self.isPermitted($0, from: session, leases[$0.id]) },
                    self.formers(reported, session, leases)
                )
            }
            updates += try await lost(at: session.node, reported: Set(reported.map(\.id)))
            let applied = try await ledger.apply(updates.map(WorkloadUpdate.init), from: session.node)
            registry.committed(applied)
            try await retire(reported, except: Set(applied.map(\.id)), at: session)
            retire(applied, at: formers)
            session.note(reported, isFull: true)
            session.peer.acknowledge([report.sequence])
            tellOrigins(of: applied)
            learn(from: applied)
        } catch {
            session.skip()
            notRecorded(error, session)
        }
    }

    private func notRecorded(_ error: any Error, _ session: AgentSession) {
        logger.error(
            "a report was not recorded; the node will send it again",
            metadata: ["node": "\(session.node)", "error": "\(error)"])
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

    /// Of what a node has in an epoch that the ledger had lost: which nodes have it in that of the ledger, and may run it.
    private func formers(
        _ reported: [Workload], _ session: AgentSession, _ leases: [WorkloadID: FleetView.Lease]
    ) -> [WorkloadID: NodeID] {
        guard configuration.recoversEpochs else { return [:] }
        var formers: [WorkloadID: NodeID] = [:]
        for workload in reported {
            guard let lease = leases[workload.id], lease.target != session.node, lease.epoch < workload.version.epoch
            else { continue }
            formers[workload.id] = lease.target
        }
        return formers
    }

    private func retire(_ applied: [Workload], at formers: [WorkloadID: NodeID]) {
        for workload in applied {
            guard let former = formers[workload.id], let session = registry.session(of: former, in: workload.tenant)
            else { continue }
            retire(workload, at: session)
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

    /// What a node reports, of its own tenant and at the node itself, whatever the message says.
    private func read(_ report: Lighter_V1_Report, of session: AgentSession) -> [Workload] {
        report.workloads.compactMap { message in
            do {
                return try message.domain(of: session.tenant, at: session.node)
            } catch {
                logger.warning(
                    "a reported workload cannot be read", metadata: ["node": "\(session.node)", "error": "\(error)"])
                return nil
            }
        }
    }

    /// A node may speak of what it holds; an epoch that was never given out would outlive every later placement.
    private func isPermitted(_ workload: Workload, from session: AgentSession, _ lease: FleetView.Lease?) -> Bool {
        guard let lease else { return true }
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

    /// Learns how much work the runs were that ended just now; the ledger learns it by and by.
    private func learn(from applied: [Workload]) {
        var runs: [Lessons.Run] = []
        for workload in applied where workload.state == .exited && workload.exitCode == 0 && !workload.workKey.isEmpty {
            guard workload.startedAt > 0, workload.finishedAt > workload.startedAt else { continue }
            let speed = max(0.01, registry[workload.target]?.measures.coreSpeed ?? 1)
            runs.append((workload.workKey, (workload.finishedAt - workload.startedAt) * speed))
        }
        guard !runs.isEmpty else { return }
        registry.learn(runs)
        lessons.add(runs)
    }

    /// Writes what was learnt to the ledger.
    func keep(_ runs: [Lessons.Run]) async {
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
