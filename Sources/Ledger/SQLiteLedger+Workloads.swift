package import Fleet
import GRDB
import Synchronization

extension SQLiteLedger {
    package func apply(_ updates: [WorkloadUpdate], from node: NodeID) async throws(LedgerError) -> [Workload] {
        guard !updates.isEmpty else { return [] }
        let now = configuration.clock()
        let applied = try await commits.write { [writer] database in
            .success(try writer.apply(updates, from: node, changedAt: now, in: database))
        }
        noteRemoved(applied.count { $0.state == .removed })
        return applied
    }

    package func apply(_ reports: [ReportedUpdates]) async -> [Result<[Workload], LedgerError>] {
        let now = configuration.clock()
        let outcomes = await commits.write(
            each: reports.map { report in
                { [writer] database in
                    try writer.apply(report.updates, from: report.node, changedAt: now, in: database)
                }
            })
        var removed = 0
        for case .success(let applied) in outcomes { removed += applied.count { $0.state == .removed } }
        noteRemoved(removed)
        return outcomes
    }

    package func place(_ lease: Workload) async throws(LedgerError) -> Workload {
        let now = configuration.clock()
        return try await commits.write { [writer] database in
            let known = try writer.workload(lease.id, in: database)
            let placed: Workload
            switch LedgerRules.placing(lease, over: known, now: now) {
            case .success(let lease): placed = lease
            case .failure(let refusal): return .failure(refusal)
            }
            try writer.store(placed, changedAt: now, in: database)
            return .success(placed)
        }
    }

    package func workload(_ id: WorkloadID) async throws(LedgerError) -> Workload? {
        try await reading { database in try WorkloadRow.fetchAll(database, where: "id = ?", [id.hex]).first }
    }

    package func workloads(includingEnded: Bool) async throws(LedgerError) -> [Workload] {
        try await reading { database in
            try WorkloadRow.fetchAll(
                database, where: includingEnded ? "TRUE" : "state NOT IN ('exited', 'removed')")
        }
    }

    package func find(_ reference: String) async throws(LedgerError) -> [Workload] {
        guard !reference.isEmpty else { return [] }
        return try await reading { database in
            let exact = try WorkloadRow.fetchAll(
                database, where: "id = ? OR (containerID = ? AND containerID <> '')", [reference, reference])
            if !exact.isEmpty { return exact }
            let named = try WorkloadRow.fetchAll(database, where: "name = ? AND name <> ''", [reference])
            if !named.isEmpty { return named }
            guard LedgerRules.mayBeginAnID(reference) else { return [] }
            // Hex digits sort before 'g', so this is the range of all that begin so.
            let end = reference + "g"
            return try WorkloadRow.fetchAll(
                database,
                where: "(id >= ? AND id < ?) OR (containerID >= ? AND containerID < ? AND containerID <> '')",
                [reference, end, reference, end])
        }
    }

    @discardableResult
    package func abandon(_ id: WorkloadID, epoch: UInt64, reason: String) async throws(LedgerError) -> Workload? {
        let now = configuration.clock()
        let abandoned: Workload? = try await commits.write { [writer] database in
            let known = try writer.workload(id, in: database)
            guard let workload = LedgerRules.abandoning(known, epoch: epoch, reason: reason, now: now) else {
                return .success(nil)
            }
            try writer.store(workload, changedAt: now, in: database)
            return .success(workload)
        }
        noteRemoved(abandoned == nil ? 0 : 1)
        return abandoned
    }

    // MARK: Pruning

    package func prune() async throws(LedgerError) {
        let configuration = configuration
        try await commits.write { database in .success(try Self.prune(database, configuration)) }
    }

    /// Prunes by and by: every thousandth workload that goes has the old ones cleared away.
    private func noteRemoved(_ count: Int) {
        guard count > 0 else { return }
        let total = removedSincePruning.add(count, ordering: .relaxed).newValue
        guard total >= 1000, removedSincePruning.exchange(0, ordering: .relaxed) >= 1000 else { return }
        let configuration = configuration
        commits.enqueue { database in try Self.prune(database, configuration) }
    }

    private static func prune(_ database: Database, _ configuration: Configuration) throws {
        let now = configuration.clock()
        try database.execute(
            sql: """
                DELETE FROM workload WHERE state = 'removed' AND (changedAt < ? OR changedAt < (
                    SELECT changedAt FROM workload WHERE state = 'removed' ORDER BY changedAt DESC LIMIT 1 OFFSET ?))
                """,
            arguments: [now - configuration.keepRemovedFor, max(0, configuration.keepRemoved - 1)])
        try database.execute(
            sql: """
                DELETE FROM duration WHERE changedAt < (
                    SELECT changedAt FROM duration ORDER BY changedAt DESC LIMIT 1 OFFSET ?)
                """,
            arguments: [max(0, configuration.keepDurations - 1)])
        try database.execute(sql: "DELETE FROM token WHERE expiresAt < ?", arguments: [now - LedgerRules.keepTokensFor])
    }
}
