import Fleet
package import Ledger

extension EtcdLedger: LedgerArchive {
    package func records() async throws(LedgerError) -> [LedgerRecord] {
        try check()
        let decisions = try await decisions(of: Array(mirror.names(.decision)))
        return LedgerRecord.Kind.allCases.flatMap { kind in
            let records = kind == .decision ? decisions.values.map { .decision($0) } : mirror.all(kind)
            return records.sorted { $0.key.name < $1.key.name }
        }
    }

    /// Not in one transaction: when it throws, the prefix is to be emptied before it is tried again.
    package func restore(_ records: [LedgerRecord]) async throws(LedgerError) {
        try check()
        guard LedgerRecord.Kind.allCases.allSatisfy({ mirror.names($0).isEmpty }) else { throw .notEmpty }
        var rest = records[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.keysAtOnce)
            rest = rest.dropFirst(part.count)
            // Each is a write of its own, so that they are divided by size as well.
            try await withAll(part) { record throws(LedgerError) in
                try await self.write(keys: 1) { draft in .success(try draft.put(record)) }
            }
        }
    }

    private func withAll(
        _ records: ArraySlice<LedgerRecord>,
        _ body: @escaping @Sendable (LedgerRecord) async throws(LedgerError) -> Void
    ) async throws(LedgerError) {
        let failure = await withTaskGroup(of: LedgerError?.self) { group in
            for record in records {
                group.addTask {
                    do throws(LedgerError) {
                        try await body(record)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            return await group.reduce(nil) { $0 ?? $1 }
        }
        if let failure { throw failure }
    }
}
