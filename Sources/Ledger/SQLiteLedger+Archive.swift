import Fleet
import Foundation
import GRDB

extension SQLiteLedger: LedgerArchive {
    package func records() async throws(LedgerError) -> [LedgerRecord] {
        try await reading { database in
            var records: [LedgerRecord] = []
            for row in try WorkloadRow.fetchAllChanged(database) {
                records.append(.workload(.init(row.workload, changedAt: row.changedAt)))
                if let decision = row.workload.decision { records.append(.decision(decision)) }
            }
            for json in try Data.fetchAll(database, sql: "SELECT json FROM node ORDER BY id") {
                records.append(.node(try LedgerJSON.decode(Node.self, from: json)))
            }
            for row in try Row.fetchAll(database, sql: "SELECT * FROM member ORDER BY name") {
                records.append(
                    .member(
                        .init(
                            name: row["name"], tenant: try TenantID(row["tenant"]), token: row["token"],
                            joinedAt: row["joinedAt"])))
            }
            for row in try Row.fetchAll(database, sql: "SELECT * FROM token ORDER BY id") {
                let secretHash: Data = row["secretHash"]
                let token = StoredToken(
                    id: row["id"], secretHash: Array(secretHash), tenant: try TenantID(row["tenant"]),
                    expiresAt: row["expiresAt"], isOperator: row["isOperator"])
                records.append(.token(.init(token, usedAt: row["usedAt"], usedBy: row["usedBy"])))
            }
            for row in try Row.fetchAll(database, sql: "SELECT * FROM duration ORDER BY workKey") {
                let estimate = try LedgerJSON.decode(WorkEstimate.self, from: row["json"])
                records.append(
                    .duration(.init(workKey: row["workKey"], estimate: estimate, changedAt: row["changedAt"])))
            }
            for row in try Row.fetchAll(database, sql: "SELECT * FROM setting ORDER BY key") {
                records.append(.setting(.init(key: row["key"], value: row["value"])))
            }
            return records
        }
    }

    package func restore(_ records: [LedgerRecord]) async throws(LedgerError) {
        try await commits.write { [writer] database -> Result<Void, LedgerError> in
            for table in ["workload", "node", "member", "token", "duration", "setting"] {
                guard try Row.fetchOne(database, sql: "SELECT 1 FROM \(table) LIMIT 1") == nil else {
                    return .failure(.notEmpty)
                }
            }
            // A decision refers to its workload, which may come later.
            for record in records.filter({ $0.key.kind != .decision }) {
                try Self.insert(record, into: database, by: writer)
            }
            for record in records.filter({ $0.key.kind == .decision }) {
                try Self.insert(record, into: database, by: writer)
            }
            return .success(())
        }
    }

    private static func insert(
        _ record: LedgerRecord, into database: Database, by writer: WorkloadWriter
    ) throws {
        switch record {
        case .workload(let kept): try writer.store(kept.workload, changedAt: kept.changedAt, in: database)
        case .decision(let decision):
            try database.execute(
                sql: "INSERT INTO decision (workload, json) VALUES (?, ?)",
                arguments: [decision.workload.hex, try LedgerJSON.encode(decision)])
        case .node(let node):
            try database.execute(
                sql: "INSERT INTO node (id, tenant, json) VALUES (?, ?, ?)",
                arguments: [node.id.name, node.tenant.name, try LedgerJSON.encode(node)])
        case .member(let member):
            try database.execute(
                sql: "INSERT INTO member (name, tenant, token, joinedAt) VALUES (?, ?, ?, ?)",
                arguments: [member.name, member.tenant.name, member.token, member.joinedAt])
        case .token(let kept):
            try database.execute(
                sql: """
                    INSERT INTO token (id, secretHash, tenant, expiresAt, isOperator, usedAt, usedBy)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    kept.token.id, Data(kept.token.secretHash), kept.token.tenant.name, kept.token.expiresAt,
                    kept.token.isOperator, kept.usedAt, kept.usedBy,
                ])
        case .duration(let kept):
            try database.execute(
                sql: "INSERT INTO duration (workKey, json, changedAt) VALUES (?, ?, ?)",
                arguments: [kept.workKey, try LedgerJSON.encode(kept.estimate), kept.changedAt])
        case .setting(let setting):
            try database.execute(
                sql: "INSERT INTO setting (key, value) VALUES (?, ?)", arguments: [setting.key, setting.value])
        }
    }
}
