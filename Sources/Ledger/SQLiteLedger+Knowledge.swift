import Foundation
import GRDB

extension SQLiteLedger {
    package func learn(_ workKey: String, coreSeconds: Double) async throws(LedgerError) {
        let now = configuration.clock()
        try await commits.write { database in
            var estimate = try Self.estimate(workKey, from: database) ?? WorkEstimate()
            estimate.add(coreSeconds)
            guard estimate.count > 0 else { return .success(()) }
            try database.cachedStatement(
                sql: """
                    INSERT INTO duration (workKey, json, changedAt) VALUES (?, ?, ?)
                    ON CONFLICT (workKey) DO UPDATE SET json = excluded.json, changedAt = excluded.changedAt
                    """
            ).execute(arguments: [workKey, try LedgerJSON.encode(estimate), now])
            return .success(())
        }
    }

    package func estimate(_ workKey: String) async throws(LedgerError) -> WorkEstimate? {
        try await reading { database in try Self.estimate(workKey, from: database) }
    }

    private static func estimate(_ workKey: String, from database: Database) throws -> WorkEstimate? {
        let statement = try database.cachedStatement(sql: "SELECT json FROM duration WHERE workKey = ?")
        guard let json = try Data.fetchOne(statement, arguments: [workKey]) else { return nil }
        return try LedgerJSON.decode(WorkEstimate.self, from: json)
    }

    package func setting(_ key: String) async throws(LedgerError) -> String? {
        try await reading { database in
            try String.fetchOne(database, sql: "SELECT value FROM setting WHERE key = ?", arguments: [key])
        }
    }

    package func setSetting(_ key: String, _ value: String?) async throws(LedgerError) {
        try await commits.write { database in
            if let value {
                try database.execute(
                    sql: """
                        INSERT INTO setting (key, value) VALUES (?, ?)
                        ON CONFLICT (key) DO UPDATE SET value = excluded.value
                        """,
                    arguments: [key, value])
            } else {
                try database.execute(sql: "DELETE FROM setting WHERE key = ?", arguments: [key])
            }
            return .success(())
        }
    }
}
