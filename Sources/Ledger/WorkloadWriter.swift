import Fleet
import GRDB

/// The writer's way to the table of workloads: remembers what it wrote last, and binds its statements by hand.
///
/// Most updates are of workloads that were written a moment ago: those are not read again. What it remembers is what its
/// transaction holds, so `forget()` when one was undone, or when others wrote to the table.
final class WorkloadWriter: @unchecked Sendable {  // unchecked: touched by the database's one writer only
    private struct Known {
        /// The row's key.
        var number: Int64
        var workload: Workload
    }

    private struct Statements {
        var insert: BoundStatement
        var update: BoundStatement
        var progress: BoundStatement
    }

    private let limit: Int
    /// Workloads that are not removed, by when they were last used: what is not used while `recent` fills up is forgotten.
    private var recent: [WorkloadID: Known] = [:]
    private var older: [WorkloadID: Known] = [:]
    private var statements: Statements?

    /// - Parameter limit: twice as many workloads are remembered at most.
    init(limit: Int = 16_384) { self.limit = limit }

    func forget() {
        recent = [:]
        older = [:]
    }

    /// Lets go of the database too.
    func close() {
        forget()
        statements = nil
    }

    /// Merges what a node says; answers what changed, as it is now.
    func apply(
        _ updates: [WorkloadUpdate], from node: NodeID, changedAt: Double, in database: Database
    ) throws -> [Workload] {
        var applied: [Workload] = []
        applied.reserveCapacity(updates.count)
        for update in updates {
            let id = update.workload.id
            // One that is not remembered is most likely new: to try that costs less than to look first.
            if !remembers(id), let new = LedgerRules.merge(update, into: nil, from: node),
                try insert(new, changedAt: changedAt, in: database)
            {
                applied.append(new)
                continue
            }
            let known = try find(id, in: database)
            guard let new = LedgerRules.merge(update, into: known?.workload, from: node) else { continue }
            try store(new, over: known, changedAt: changedAt, in: database)
            applied.append(new)
        }
        return applied
    }

    /// Without its decision.
    func workload(_ id: WorkloadID, in database: Database) throws -> Workload? {
        try find(id, in: database)?.workload
    }

    /// With its decision, if it has one.
    func store(_ workload: Workload, changedAt: Double, in database: Database) throws {
        try store(workload, over: try find(workload.id, in: database), changedAt: changedAt, in: database)
    }

    // MARK: - What is remembered

    private func remembers(_ id: WorkloadID) -> Bool { recent[id] != nil || older[id] != nil }

    private func find(_ id: WorkloadID, in database: Database) throws -> Known? {
        if let known = recent[id] { return known }
        if let known = older[id] {
            remember(known)
            return known
        }
        guard let (number, workload) = try WorkloadRow.fetch(id, from: database) else { return nil }
        return Known(number: number, workload: workload)
    }

    private func remember(_ known: Known) {
        if recent.count >= limit {
            older = recent
            recent.removeAll(keepingCapacity: true)
        }
        recent[known.workload.id] = known
    }

    // MARK: - Writing

    private func store(_ new: Workload, over old: Known?, changedAt: Double, in database: Database) throws {
        guard let old else {
            _ = try insert(new, changedAt: changedAt, in: database)
            return
        }
        let statements = try prepared(database)
        if new.isProgress(of: old.workload) {
            try statements.progress.run { $0.bind(progress: new, changedAt: changedAt, number: old.number) }
        } else {
            try statements.update.run { $0.bind(new, changedAt: changedAt, number: old.number) }
        }
        try stored(new, number: old.number, in: database)
    }

    /// - Returns: false where there is one of that id already; that one stays.
    private func insert(_ new: Workload, changedAt: Double, in database: Database) throws -> Bool {
        try prepared(database).insert.run { $0.bind(new, changedAt: changedAt) }
        guard database.changesCount == 1 else { return false }
        try stored(new, number: database.lastInsertedRowID, in: database)
        return true
    }

    private func stored(_ new: Workload, number: Int64, in database: Database) throws {
        if let decision = new.decision { try WorkloadRow.store(decision, in: database) }
        // What is removed is seldom heard of again, and may be pruned.
        guard new.state != .removed else {
            recent[new.id] = nil
            older[new.id] = nil
            return
        }
        var known = Known(number: number, workload: new)
        known.workload.decision = nil
        remember(known)
    }

    private func prepared(_ database: Database) throws -> Statements {
        if let statements { return statements }
        let made = Statements(
            insert: try BoundStatement(WorkloadRow.insert, in: database),
            update: try BoundStatement(WorkloadRow.update, in: database),
            progress: try BoundStatement(WorkloadRow.progress, in: database))
        statements = made
        return made
    }
}

extension Workload {
    /// Whether only what moves while a workload runs is another than in `old`.
    fileprivate func isProgress(of old: Workload) -> Bool {
        decision == nil && tenant == old.tenant && origin == old.origin && target == old.target
            && containerID == old.containerID && name == old.name && image == old.image && resources == old.resources
            && createdAt == old.createdAt && workKey == old.workKey
    }
}

extension BoundStatement {
    /// In the order of `WorkloadRow.columns`, then `changedAt`, then the row's key where there is one.
    fileprivate func bind(_ w: Workload, changedAt: Double, number: Int64? = nil) {
        bind(1, w.id.hex)
        bind(2, w.tenant.name)
        bind(3, w.origin.name)
        bind(4, w.target.name)
        bind(5, w.state.rawValue)
        bind(6, Int64(bitPattern: w.version.epoch))
        bind(7, Int64(bitPattern: w.version.sequence))
        bind(8, w.containerID)
        bind(9, w.name)
        bind(10, w.image)
        bind(11, LedgerRules.known(w.resources.cpus))
        bind(12, w.resources.memory.bytes)
        bind(13, w.exitCode.map(Int64.init))
        bind(14, w.error)
        bind(15, LedgerRules.known(w.createdAt))
        bind(16, LedgerRules.known(w.startedAt))
        bind(17, LedgerRules.known(w.finishedAt))
        bind(18, w.workKey)
        bind(19, changedAt)
        if let number { bind(20, number) }
    }

    /// In the order of `WorkloadRow.progress`.
    fileprivate func bind(progress w: Workload, changedAt: Double, number: Int64) {
        bind(1, w.state.rawValue)
        bind(2, Int64(bitPattern: w.version.epoch))
        bind(3, Int64(bitPattern: w.version.sequence))
        bind(4, w.exitCode.map(Int64.init))
        bind(5, w.error)
        bind(6, LedgerRules.known(w.startedAt))
        bind(7, LedgerRules.known(w.finishedAt))
        bind(8, changedAt)
        bind(9, number)
    }
}
