package import Fleet
package import Ledger

extension EtcdLedger {
    package func upsertNode(_ node: Node) async throws(LedgerError) {
        try await write(keys: 1) { draft in .success(try draft.put(.node(node))) }
    }

    package func nodes() async throws(LedgerError) -> [Node] {
        try check()
        return mirror.all(.node).compactMap { record in
            if case .node(let node) = record { node } else { nil }
        }.sorted { $0.id.name < $1.id.name }
    }

    package func removeNode(_ id: NodeID) async throws(LedgerError) {
        try await write(keys: 2) { draft in
            draft.delete(.node, id.name)
            draft.delete(.member, id.name)
            return .success(())
        }
    }

    // MARK: Tokens

    package func addToken(_ token: StoredToken) async throws(LedgerError) {
        try await write(keys: 1) { draft -> Result<Void, LedgerError> in
            guard draft.read(.token, token.id) == nil else {
                return .failure(LedgerError(.conflict, "a join token \(token.id) exists already; make another"))
            }
            return .success(try draft.put(.token(.init(token))))
        }
    }

    package func redeemToken(
        id: String, secretHash: [UInt8], node: NodeID?, isRejoining: Bool, now: Double
    ) async throws(LedgerError) -> TokenOutcome {
        try await write(keys: 3) { draft in
            guard case .token(var kept)? = draft.read(.token, id) else { return .success(.unknown) }
            let refusal = LedgerRules.refusal(
                of: kept.token, usedAt: kept.usedAt, usedBy: kept.usedBy, secretHash: secretHash, now: now)
            if let refusal { return .success(refusal) }
            if let node {
                guard
                    LedgerRules.mayTake(
                        owners: Self.owners(of: node, in: &draft), tenant: kept.token.tenant, isRejoining: isRejoining)
                else { return .success(.nameTaken(node)) }
                try draft.put(
                    .member(.init(name: node.name, tenant: kept.token.tenant, token: id, joinedAt: now)))
            }
            kept.usedAt = now
            kept.usedBy = node?.name ?? ""
            try draft.put(.token(kept))
            return .success(.redeemed(kept.token))
        }
    }

    private static func owners(of name: NodeID, in draft: inout Draft) -> Set<TenantID> {
        var owners: Set<TenantID> = []
        if case .member(let member)? = draft.read(.member, name.name) { owners.insert(member.tenant) }
        if case .node(let node)? = draft.read(.node, name.name) { owners.insert(node.tenant) }
        return owners
    }
}
