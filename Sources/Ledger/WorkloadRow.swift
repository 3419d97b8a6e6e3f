import Fleet
import Foundation
import GRDB

/// A workload as a row of its table, and back.
enum WorkloadRow {
    static let columns = """
        id, tenant, origin, target, state, epoch, sequence, containerID, name, image, cpus, memory, exitCode, error, \
        createdAt, startedAt, finishedAt, workKey
        """

    private static let select = "SELECT \(columns), number FROM workload WHERE id = ?"

    static let insert = """
        INSERT INTO workload (\(columns), changedAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO NOTHING
        """

    static let update = """
        UPDATE workload SET id = ?, tenant = ?, origin = ?, target = ?, state = ?, epoch = ?, sequence = ?,
            containerID = ?, name = ?, image = ?, cpus = ?, memory = ?, exitCode = ?, error = ?, createdAt = ?,
            startedAt = ?, finishedAt = ?, workKey = ?, changedAt = ? WHERE number = ?
        """

    /// What moves while a workload runs: leaves the indexes of its ids and names alone, which cost half of a write.
    static let progress = """
        UPDATE workload SET state = ?, epoch = ?, sequence = ?, exitCode = ?, error = ?, startedAt = ?, finishedAt = ?,
            changedAt = ? WHERE number = ?
        """

    private static let upsertDecision = """
        INSERT INTO decision (workload, json) VALUES (?, ?) ON CONFLICT (workload) DO UPDATE SET json = excluded.json
        """

    /// Without its decision; with the row's key.
    static func fetch(_ id: WorkloadID, from database: Database) throws -> (number: Int64, workload: Workload)? {
        let statement = try database.cachedStatement(sql: select)
        return try Row.fetchOne(statement, arguments: [id.hex]).map { (number: $0[18], workload: try decode($0)) }
    }

    static func store(_ decision: Decision, in database: Database) throws {
        let json = try LedgerJSON.encode(decision)
        try database.cachedStatement(sql: upsertDecision).execute(arguments: [decision.workload.hex, json])
    }

    /// With their decisions, newest first.
    static func fetchAll(
        _ database: Database, where condition: String, _ arguments: StatementArguments = []
    ) throws -> [Workload] {
        let sql = """
            SELECT \(columns), json FROM workload LEFT JOIN decision ON decision.workload = workload.id
            WHERE \(condition) ORDER BY createdAt DESC, id
            """
        let cursor = try Row.fetchCursor(try database.cachedStatement(sql: sql), arguments: arguments)
        var workloads: [Workload] = []
        while let row = try cursor.next() {
            var workload = try decode(row)
            if let json: Data = row[18] { workload.decision = try LedgerJSON.decode(Decision.self, from: json) }
            workloads.append(workload)
        }
        return workloads
    }

    /// All of them, with their decisions and when they changed last.
    static func fetchAllChanged(_ database: Database) throws -> [(workload: Workload, changedAt: Double)] {
        let sql = """
            SELECT \(columns), json, changedAt FROM workload LEFT JOIN decision ON decision.workload = workload.id
            ORDER BY id
            """
        return try Row.fetchAll(database, sql: sql).map { row in
            var workload = try decode(row)
            if let json: Data = row[18] { workload.decision = try LedgerJSON.decode(Decision.self, from: json) }
            return (workload, row[19])
        }
    }

    private static func decode(_ row: Row) throws -> Workload {
        guard let state = WorkloadState(rawValue: row[4]) else {
            throw LedgerError(.corrupt, "the ledger holds a workload in an unknown state; upgrade this gateway")
        }
        return Workload(
            id: try WorkloadID(row[0]), tenant: try TenantID(row[1]), origin: try NodeID(row[2]),
            target: try NodeID(row[3]), state: state,
            version: Version(
                epoch: UInt64(bitPattern: row[5] as Int64), sequence: UInt64(bitPattern: row[6] as Int64)),
            containerID: row[7], name: row[8], image: row[9],
            resources: Resources(cpus: row[10], memory: ByteCount(row[11])), exitCode: row[12], error: row[13],
            createdAt: row[14], startedAt: row[15], finishedAt: row[16], workKey: row[17])
    }
}
