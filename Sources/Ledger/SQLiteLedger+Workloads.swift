package import Fleet
import GRDB
import Synchronization

extension SQLiteLedger {
    package func apply(_ updates: [WorkloadUpdate], from node: NodeID) async throws(LedgerError) -> [Workload] {
        guard !updates.isEmpty else { return [] }
        let now = configuration.clock()
        let applied = try await commits.write { database in
            var applied: [Workload] = []
            for update in updates {
                let known = try WorkloadRow.fetch(update.workload.id, from: database)
                guard let new = Self.merge(update, into: known, from: node) else { continue }
                try WorkloadRow.store(new, over: known, changedAt: now, in: database)
                applied.append(new)
            }
            return .success(applied)
        }
        noteRemoved(applied.count { $0.state == .removed })
        return applied
    }

    /// What is kept after `node` said `update`, or nil when that changes nothing.
    private static func merge(_ update: WorkloadUpdate, into known: Workload?, from node: NodeID) -> Workload? {
        guard let known else {
            let new = update.workload
            return node == new.origin || node == new.target ? new : nil
        }
        guard let new = known.applying(update) else { return nil }
        // A placement that the ledger does not know is one that it lost, as when it was restored from a backup.
        let wasLost =
            node == new.target && new.version.epoch > known.version.epoch && update.workload.origin == known.origin
            && update.workload.tenant == known.tenant
        return node == known.origin || node == known.target || wasLost ? new : nil
    }

    package func place(_ lease: Workload) async throws(LedgerError) -> Workload {
        let now = configuration.clock()
        return try await commits.write { database in
            let known = try WorkloadRow.fetch(lease.id, from: database)
            if let known, known.tenant != lease.tenant || known.origin != lease.origin {
                return .failure(
                    LedgerError(
                        .conflict, "workload \(lease.id) belongs to another origin; create it anew with its own id"))
            }
            var placed = lease
            placed.state = .pending
            placed.version = Version(epoch: (known?.version.epoch ?? 0) + 1, sequence: 0)
            if placed.createdAt == 0 { placed.createdAt = known?.createdAt ?? now }
            try WorkloadRow.store(placed, changedAt: now, in: database)
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
            guard reference.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
                return []
            }
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
        let abandoned: Workload? = try await commits.write { database in
            guard var workload = try WorkloadRow.fetch(id, from: database), workload.version.epoch == epoch,
                workload.state == .pending
            else { return .success(nil) }
            workload.state = .removed
            workload.error = reason
            workload.finishedAt = now
            try WorkloadRow.store(workload, changedAt: now, in: database)
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
        try database.execute(sql: "DELETE FROM token WHERE expiresAt < ?", arguments: [now - 30 * 86_400])
    }
}
