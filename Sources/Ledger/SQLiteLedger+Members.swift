package import Fleet
import Foundation
import GRDB

extension SQLiteLedger {
    package func upsertNode(_ node: Node) async throws(LedgerError) {
        try await commits.write { database in
            let json = try LedgerJSON.encode(node)
            try database.cachedStatement(
                sql: """
                    INSERT INTO node (id, tenant, json) VALUES (?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, json = excluded.json
                    """
            ).execute(arguments: [node.id.name, node.tenant.name, json])
            return .success(())
        }
    }

    package func nodes() async throws(LedgerError) -> [Node] {
        try await reading { database in
            try Data.fetchAll(database, sql: "SELECT json FROM node ORDER BY id")
                .map { try LedgerJSON.decode(Node.self, from: $0) }
        }
    }

    package func removeNode(_ id: NodeID) async throws(LedgerError) {
        try await commits.write { database in
            try database.execute(sql: "DELETE FROM node WHERE id = ?", arguments: [id.name])
            try database.execute(sql: "DELETE FROM member WHERE name = ?", arguments: [id.name])
            return .success(())
        }
    }

    // MARK: Tokens

    package func addToken(_ token: StoredToken) async throws(LedgerError) {
        try await commits.write { database -> Result<Void, LedgerError> in
            guard try Row.fetchOne(database, sql: "SELECT 1 FROM token WHERE id = ?", arguments: [token.id]) == nil
            else {
                return .failure(LedgerError(.conflict, "a join token \(token.id) exists already; make another"))
            }
            try database.execute(
                sql: "INSERT INTO token (id, secretHash, tenant, expiresAt, isOperator) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    token.id, Data(token.secretHash), token.tenant.name, token.expiresAt, token.isOperator,
                ])
            return .success(())
        }
    }

    package func redeemToken(
        id: String, secretHash: [UInt8], node: NodeID?, isRejoining: Bool, now: Double
    ) async throws(LedgerError) -> TokenOutcome {
        try await commits.write { database in
            guard let row = try Row.fetchOne(database, sql: "SELECT * FROM token WHERE id = ?", arguments: [id]) else {
                return .success(.unknown)
            }
            let kept: Data = row["secretHash"]
            let token = StoredToken(
                id: id, secretHash: Array(kept), tenant: try TenantID(row["tenant"]), expiresAt: row["expiresAt"],
                isOperator: row["isOperator"])
            let refusal = LedgerRules.refusal(
                of: token, usedAt: row["usedAt"], usedBy: row["usedBy"], secretHash: secretHash, now: now)
            if let refusal { return .success(refusal) }
            if let node {
                guard try Self.reserve(node, for: token, isRejoining: isRejoining, now: now, in: database) else {
                    return .success(.nameTaken(node))
                }
            }
            try database.execute(
                sql: "UPDATE token SET usedAt = ?, usedBy = ? WHERE id = ?", arguments: [now, node?.name ?? "", id])
            return .success(.redeemed(token))
        }
    }

    /// Gives the name to the token's holder, unless another has it.
    private static func reserve(
        _ node: NodeID, for token: StoredToken, isRejoining: Bool, now: Double, in database: Database
    ) throws -> Bool {
        let owners = try String.fetchAll(
            database, sql: "SELECT tenant FROM member WHERE name = ? UNION SELECT tenant FROM node WHERE id = ?",
            arguments: [node.name, node.name])
        let tenants = Set(try owners.map { try TenantID($0) })
        guard LedgerRules.mayTake(owners: tenants, tenant: token.tenant, isRejoining: isRejoining) else { return false }
        try database.execute(
            sql: """
                INSERT INTO member (name, tenant, token, joinedAt) VALUES (?, ?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET token = excluded.token, joinedAt = excluded.joinedAt
                """,
            arguments: [node.name, token.tenant.name, token.id, now])
        return true
    }
}
