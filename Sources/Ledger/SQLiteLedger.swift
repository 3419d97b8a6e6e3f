package import Fleet
import Foundation
import GRDB
import Synchronization

/// The ledger of one gateway: one SQLite file, in WAL mode with `synchronous=FULL` and group commit.
package final class SQLiteLedger: Ledger {
    package struct Configuration: Sendable {
        /// Removed workloads are kept this long, in seconds.
        package var keepRemovedFor: Double = 7 * 86_400
        /// And at most this many of them, the newest.
        package var keepRemoved = 10_000
        /// How many kinds of work are remembered, the latest seen.
        package var keepDurations = 10_000
        /// The file is not let grow above this; nil for as much as the disk holds.
        package var maximumSize: ByteCount?
        /// Seconds since 1970.
        package var clock: @Sendable () -> Double = { Date().timeIntervalSince1970 }

        package init() {}
    }

    package let path: String
    let configuration: Configuration
    let pool: DatabasePool
    let commits: GroupCommit
    let writer = WorkloadWriter()
    /// Workloads that became `removed` since the last pruning.
    let removedSincePruning = Atomic<Int>(0)
    private let lock: Mutex<LedgerLock?>

    /// Opens the ledger at `path`, made new if there is none, and brings it to this release's form.
    ///
    /// - Throws: `locked`, `readOnly`, `corrupt`, `newerSchema`, `full`.
    package init(path: String, configuration: Configuration = Configuration()) throws(LedgerError) {
        self.path = path
        self.configuration = configuration
        lock = Mutex(try LedgerLock(path: path + ".lock"))
        do {
            pool = try Self.open(path, configuration)
        } catch {
            throw .describing(error, path: path)
        }
        let writer = writer
        commits = GroupCommit(pool, describe: { .describing($0, path: path) }, undone: { writer.forget() })
    }

    package func close() async {
        await commits.close()
        // So that the file alone is whole.
        try? await pool.writeWithoutTransaction { [writer] database in
            writer.close()
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
        // Fails only while a reader is at work; the file is then closed with the last reference to the pool.
        try? pool.close()
        lock.withLock { $0 = nil }
    }

    private static func open(_ path: String, _ configuration: Configuration) throws -> DatabasePool {
        var settings = GRDB.Configuration()
        settings.foreignKeysEnabled = true
        settings.busyMode = .timeout(5)
        settings.maximumReaderCount = 2
        settings.label = "ledger"
        let pool = try DatabasePool(path: path, configuration: settings)
        try pool.writeWithoutTransaction { database in
            // GRDB sets NORMAL for WAL, which may lose the last commits with the power.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // Tables of a large fleet do not fit SQLite's own 2 MB, and copying pages from the log into the file costs more
            // than a longer log does.
            try database.execute(sql: "PRAGMA cache_size = -32768")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 8192")
            guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT)
            }
            if let size = configuration.maximumSize { try limit(database, to: size) }
        }
        let migrator = LedgerSchema.migrator
        if try pool.read({ try migrator.hasBeenSuperseded($0) }) {
            throw LedgerError(.newerSchema, "the ledger \(path) was written by a newer release; upgrade this gateway")
        }
        try migrator.migrate(pool)
        // Names of tenants, of nodes, and hashes of tokens are nobody else's business.
        for suffix in ["", "-wal", "-shm"] { _ = chmod(path + suffix, 0o600) }
        return pool
    }

    /// Lets the file grow up to `size` from now on; what is larger already stays.
    package func limit(to size: ByteCount) async throws(LedgerError) {
        try await commits.write { database in .success(try Self.limit(database, to: size)) }
    }

    private static func limit(_ database: Database, to size: ByteCount) throws {
        let page = try Int64.fetchOne(database, sql: "PRAGMA page_size") ?? 4096
        try database.execute(sql: "PRAGMA max_page_count = \(max(1, size.bytes / page))")
    }

    /// Any statement, for tests and repair, and the first number that it answers.
    @discardableResult
    package func execute(_ sql: String) async throws(LedgerError) -> Int? {
        try await commits.write { [writer] database in
            writer.forget()
            return .success(try Int.fetchOne(database, sql: sql))
        }
    }

    /// Reads from a snapshot that holds every write that has returned.
    func reading<Value: Sendable>(_ work: @escaping @Sendable (Database) throws -> Value) async throws(LedgerError)
        -> Value
    {
        do {
            return try await pool.read(work)
        } catch {
            throw .describing(error, path: path)
        }
    }
}
