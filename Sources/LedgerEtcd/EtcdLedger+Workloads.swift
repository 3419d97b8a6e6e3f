package import Fleet
package import Ledger
import Synchronization

extension EtcdLedger {
    package func apply(_ updates: [WorkloadUpdate], from node: NodeID) async throws(LedgerError) -> [Workload] {
        let now = configuration.clock()
        var applied: [Workload] = []
        var rest = updates[...]
        while !rest.isEmpty {
            var keys = 0
            let part = rest.prefix { update in
                keys += update.workload.decision == nil ? 1 : 2
                return keys <= Self.keysAtOnce
            }
            rest = rest.dropFirst(part.count)
            applied += try await write(keys: min(keys, Self.keysAtOnce)) { draft in
                var applied: [Workload] = []
                for update in part {
                    let known = Self.workload(update.workload.id, in: &draft)
                    guard let new = LedgerRules.merge(update, into: known, from: node) else { continue }
                    try Self.store(new, changedAt: now, in: &draft)
                    applied.append(new)
                }
                return .success(applied)
            }
        }
        noteRemoved(applied.count { $0.state == .removed })
        return applied
    }

    package func place(_ lease: Workload) async throws(LedgerError) -> Workload {
        let now = configuration.clock()
        return try await write(keys: 2) { draft in
            let placing = LedgerRules.placing(lease, over: Self.workload(lease.id, in: &draft), now: now)
            if case .success(let placed) = placing { try Self.store(placed, changedAt: now, in: &draft) }
            return placing
        }
    }

    @discardableResult
    package func abandon(_ id: WorkloadID, epoch: UInt64, reason: String) async throws(LedgerError) -> Workload? {
        let now = configuration.clock()
        let abandoned: Workload? = try await write(keys: 1) { draft in
            let known = Self.workload(id, in: &draft)
            let abandoned = LedgerRules.abandoning(known, epoch: epoch, reason: reason, now: now)
            if let abandoned { try Self.store(abandoned, changedAt: now, in: &draft) }
            return .success(abandoned)
        }
        noteRemoved(abandoned == nil ? 0 : 1)
        return abandoned
    }

    /// Without its decision.
    private static func workload(_ id: WorkloadID, in draft: inout Draft) -> Workload? {
        guard case .workload(let kept)? = draft.read(.workload, id.hex) else { return nil }
        return kept.workload
    }

    /// With its decision, if it has one.
    private static func store(_ workload: Workload, changedAt: Double, in draft: inout Draft) throws {
        if let decision = workload.decision { try draft.put(.decision(decision)) }
        try draft.put(.workload(.init(workload, changedAt: changedAt)))
    }

    // MARK: Reading

    package func workload(_ id: WorkloadID) async throws(LedgerError) -> Workload? {
        try check()
        guard case .workload(let kept)? = mirror[.init(.workload, id.hex)]?.record else { return nil }
        guard mirror[.init(.decision, id.hex)] != nil else { return kept.workload }
        return try await withDecisions([kept.workload]).first
    }

    package func workloads(includingEnded: Bool) async throws(LedgerError) -> [Workload] {
        try check()
        return try await withDecisions(all { includingEnded || $0.state.holdsCapacity })
    }

    package func find(_ reference: String) async throws(LedgerError) -> [Workload] {
        try check()
        return try await withDecisions(LedgerRules.meant(by: reference, among: all { _ in true }))
    }

    private func all(where isWanted: (Workload) -> Bool) -> [Workload] {
        mirror.all(.workload).compactMap { record in
            guard case .workload(let kept) = record, isWanted(kept.workload) else { return nil }
            return kept.workload
        }
    }

    private func withDecisions(_ workloads: [Workload]) async throws(LedgerError) -> [Workload] {
        let decisions = try await decisions(of: workloads.map(\.id.hex))
        return LedgerRules.newestFirst(
            workloads.map { workload in
                var workload = workload
                workload.decision = decisions[workload.id.hex]
                return workload
            })
    }

    // MARK: Pruning

    package func prune() async throws(LedgerError) {
        try check()
        for part in parts() {
            try await write(keys: part.count * 2) { draft in
                for record in part { Self.forget(record, in: &draft) }
                return .success(())
            }
        }
    }

    /// Prunes by and by: every thousandth workload that goes has the old ones cleared away.
    private func noteRemoved(_ count: Int) {
        guard count > 0 else { return }
        let total = removedSincePruning.add(count, ordering: .relaxed).newValue
        guard total >= 1000, removedSincePruning.exchange(0, ordering: .relaxed) >= 1000 else { return }
        for part in parts() {
            enqueue(keys: part.count * 2) { draft in for record in part { Self.forget(record, in: &draft) } }
        }
    }

    /// What is to be forgotten, in transactions that leave room for others.
    private func parts() -> [[LedgerRecord]] {
        let now = configuration.clock()
        var removed: [(record: LedgerRecord, changedAt: Double)] = []
        for case .workload(let kept) in mirror.all(.workload) where kept.workload.state == .removed {
            removed.append((.workload(kept), kept.changedAt))
        }
        var durations: [(record: LedgerRecord, changedAt: Double)] = []
        for case .duration(let kept) in mirror.all(.duration) { durations.append((.duration(kept), kept.changedAt)) }
        let tokens = mirror.all(.token).filter { record in
            guard case .token(let kept) = record else { return false }
            return kept.token.expiresAt < now - LedgerRules.keepTokensFor
        }
        let tooOld = removed.filter { $0.changedAt < now - configuration.keepRemovedFor }.map(\.record)
        let gone = Set(tooOld + Self.beyond(configuration.keepRemoved, of: removed))
        let all = Array(gone) + Self.beyond(configuration.keepDurations, of: durations) + tokens
        // Each may be two keys: a workload goes with its decision.
        let size = (Self.keysAtOnce - 1) / 2
        return stride(from: 0, to: all.count, by: size).map { Array(all[$0..<min($0 + size, all.count)]) }
    }

    /// Those older than the newest `count`.
    private static func beyond(_ count: Int, of records: [(record: LedgerRecord, changedAt: Double)]) -> [LedgerRecord]
    {
        let newest = records.map(\.changedAt).sorted(by: >)
        guard newest.count > max(1, count) else { return [] }
        let bound = newest[max(0, count - 1)]
        return records.filter { $0.changedAt < bound }.map(\.record)
    }

    /// Unless it has changed since.
    private static func forget(_ record: LedgerRecord, in draft: inout Draft) {
        guard draft.read(record.key.kind, record.key.name) == record else { return }
        draft.delete(record.key.kind, record.key.name)
        if record.key.kind == .workload { draft.delete(.decision, record.key.name) }
    }
}
