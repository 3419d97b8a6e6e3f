import Fleet
import Foundation
import GRDB

/// A workload as a row of its table, and back.
enum WorkloadRow {
    static let columns = """
        id, tenant, origin, target, state, epoch, sequence, containerID, name, image, cpus, memory, exitCode, error, \
        createdAt, startedAt, finishedAt, workKey
        """

    private static let select = "SELECT \(columns) FROM workload WHERE id = ?"

    private static let upsert = """
        INSERT INTO workload (\(columns), changedAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET
            tenant = excluded.tenant, origin = excluded.origin, target = excluded.target, state = excluded.state,
            epoch = excluded.epoch, sequence = excluded.sequence, containerID = excluded.containerID,
            name = excluded.name, image = excluded.image, cpus = excluded.cpus, memory = excluded.memory,
            exitCode = excluded.exitCode, error = excluded.error, createdAt = excluded.createdAt,
            startedAt = excluded.startedAt, finishedAt = excluded.finishedAt, workKey = excluded.workKey,
            changedAt = excluded.changedAt
        """

    /// What moves while a workload runs: leaves the indexes of its ids and names alone, which cost half of an upsert.
    private static let progress = """
        UPDATE workload SET state = ?, epoch = ?, sequence = ?, exitCode = ?, error = ?, startedAt = ?, finishedAt = ?,
            changedAt = ? WHERE id = ?
        """

    private static let upsertDecision = """
        INSERT INTO decision (workload, json) VALUES (?, ?) ON CONFLICT (workload) DO UPDATE SET json = excluded.json
        """

    /// Without its decision.
    static func fetch(_ id: WorkloadID, from database: Database) throws -> Workload? {
        let statement = try database.cachedStatement(sql: select)
        return try Row.fetchOne(statement, arguments: [id.hex]).map(decode)
    }

    /// Stores what an update made of `old`, by the shorter statement where only its state moved.
    static func store(_ w: Workload, over old: Workload?, changedAt: Double, in database: Database) throws {
        guard var moved = old, w.decision == nil else {
            return try store(w, changedAt: changedAt, in: database)
        }
        moved.state = w.state
        moved.version = w.version
        moved.exitCode = w.exitCode
        moved.error = w.error
        moved.startedAt = w.startedAt
        moved.finishedAt = w.finishedAt
        guard moved == w else { return try store(w, changedAt: changedAt, in: database) }
        try database.cachedStatement(sql: progress).execute(arguments: [
            w.state.rawValue, Int64(bitPattern: w.version.epoch), Int64(bitPattern: w.version.sequence), w.exitCode,
            w.error, known(w.startedAt), known(w.finishedAt), changedAt, w.id.hex,
        ])
    }

    /// With its decision, if it has one.
    static func store(_ workload: Workload, changedAt: Double, in database: Database) throws {
        let w = workload
        let statement = try database.cachedStatement(sql: upsert)
        try statement.execute(arguments: [
            w.id.hex, w.tenant.name, w.origin.name, w.target.name, w.state.rawValue, Int64(bitPattern: w.version.epoch),
            Int64(bitPattern: w.version.sequence), w.containerID, w.name, w.image, known(w.resources.cpus),
            w.resources.memory.bytes, w.exitCode, w.error, known(w.createdAt), known(w.startedAt), known(w.finishedAt),
            w.workKey, changedAt,
        ])
        guard let decision = w.decision else { return }
        let json = try LedgerJSON.encode(decision)
        try database.cachedStatement(sql: upsertDecision).execute(arguments: [w.id.hex, json])
    }

    /// SQLite takes a number that is none for NULL, which would make the whole report fail.
    private static func known(_ number: Double) -> Double { LedgerRules.known(number) }

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
