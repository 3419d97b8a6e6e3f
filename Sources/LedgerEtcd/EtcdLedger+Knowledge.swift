package import Ledger

extension EtcdLedger {
    package func learn(_ workKey: String, coreSeconds: Double) async throws(LedgerError) {
        let now = configuration.clock()
        try await write(keys: 1) { draft in
            var estimate = WorkEstimate()
            if case .duration(let kept)? = draft.read(.duration, workKey) { estimate = kept.estimate }
            estimate.add(coreSeconds)
            guard estimate.count > 0 else { return .success(()) }
            return .success(try draft.put(.duration(.init(workKey: workKey, estimate: estimate, changedAt: now))))
        }
    }

    package func estimate(_ workKey: String) async throws(LedgerError) -> WorkEstimate? {
        try check()
        guard case .duration(let kept)? = mirror[.init(.duration, workKey)]?.record else { return nil }
        return kept.estimate
    }

    package func setting(_ key: String) async throws(LedgerError) -> String? {
        try check()
        guard case .setting(let kept)? = mirror[.init(.setting, key)]?.record else { return nil }
        return kept.value
    }

    package func setSetting(_ key: String, _ value: String?) async throws(LedgerError) {
        try await write(keys: 1) { draft in
            guard let value else {
                draft.delete(.setting, key)
                return .success(())
            }
            return .success(try draft.put(.setting(.init(key: key, value: value))))
        }
    }
}
