import Fleet
import Foundation
import Ledger
import Synchronization
import Testing

@Suite struct SQLiteLedgerTests {
    @Test("SQLite does what every ledger must", arguments: LedgerConformance.all)
    func conforms(_ check: LedgerConformance) async throws {
        try await withLedgerFile { path in try await check.body(SQLiteHome(path: path)) }
    }

    @Test("a commit waits for the disk, and only its owner may read the file")
    func durableAndPrivate() async throws {
        try await withLedgerFile { path in
            let ledger = try SQLiteLedger(path: path)
            #expect(try await ledger.execute("PRAGMA synchronous") == 2)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            await ledger.close()
        }
    }

    @Test("a ledger of an earlier release is brought to today's form, with all that it holds")
    func earlierForm() async throws {
        try await withLedgerFile { path in
            let old = try SQLiteLedger(path: path)
            let (placed, reported) = (try Sample.id(1), try Sample.id(2))
            var lease = try Sample.workload(placed)
            lease.decision = try Sample.decision(placed)
            lease = try await old.place(lease)
            _ = try await old.apply([Sample.update(reported, .running, sequence: 3)], from: Sample.node("cloud1"))
            let kept = try await old.workloads(includingEnded: true)
            let columns = """
                id TEXT PRIMARY KEY NOT NULL, tenant TEXT NOT NULL, origin TEXT NOT NULL, target TEXT NOT NULL,
                state TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, containerID TEXT NOT NULL,
                name TEXT NOT NULL, image TEXT NOT NULL, cpus REAL NOT NULL, memory INTEGER NOT NULL, exitCode INTEGER,
                error TEXT NOT NULL, createdAt REAL NOT NULL, startedAt REAL NOT NULL, finishedAt REAL NOT NULL,
                workKey TEXT NOT NULL, changedAt REAL NOT NULL
                """
            for sql in [
                "CREATE TABLE copy (\(columns)) WITHOUT ROWID",
                """
                INSERT INTO copy SELECT id, tenant, origin, target, state, epoch, sequence, containerID, name, image, cpus,
                    memory, exitCode, error, createdAt, startedAt, finishedAt, workKey, changedAt FROM workload
                """, "CREATE TABLE saved AS SELECT * FROM decision", "DELETE FROM decision", "DROP TABLE workload",
                "ALTER TABLE copy RENAME TO workload", "INSERT INTO decision SELECT * FROM saved", "DROP TABLE saved",
                "DELETE FROM grdb_migrations WHERE identifier LIKE '2 %'",
            ] {
                try await old.execute(sql)
            }
            await old.close()
            let ledger = try SQLiteLedger(path: path)
            #expect(try await ledger.workloads(includingEnded: true) == kept)
            #expect(try await ledger.workload(placed) == lease)
            let next = try Sample.update(reported, .exited, sequence: 4)
            #expect(try await ledger.apply([next], from: Sample.node("cloud1")).map(\.state) == [.exited])
            #expect(try await ledger.apply([next], from: Sample.node("cloud1")).isEmpty)
            await ledger.close()
        }
    }

    @Test("What a transaction that was undone had written is not taken for written")
    func undone() async throws {
        try await withLedgerFile { path in
            var configuration = SQLiteLedger.Configuration()
            configuration.maximumSize = .kibibytes(400)
            let ledger = try SQLiteLedger(path: path, configuration: configuration)
            let node = try Sample.node("cloud1")
            let known = try Sample.id(1)
            _ = try await ledger.apply([Sample.update(known, .running, sequence: 1)], from: node)
            // The first part of a report that does not fit is merged before the rest finds the disk full.
            var updates = [try Sample.update(known, .paused, sequence: 2)]
            for number in 2...9000 { updates.append(try Sample.update(Sample.id(number), .running, sequence: 2)) }
            let full = updates
            let error = await #expect(throws: LedgerError.self) { _ = try await ledger.apply(full, from: node) }
            #expect(error?.code == .full)
            #expect(try await ledger.workload(known)?.state == .running)
            let again = try await ledger.apply([Sample.update(known, .paused, sequence: 2)], from: node)
            #expect(again.count == 1)
            #expect(try await ledger.workload(known)?.state == .paused)
            await ledger.close()
        }
    }
}

struct SQLiteHome: LedgerHome {
    var path: String

    func open<Value: Sendable>(
        _ settings: LedgerSettings, _ body: @escaping @Sendable (any Ledger) async throws -> Value
    ) async throws -> Value {
        var configuration = SQLiteLedger.Configuration()
        configuration.keepRemovedFor = settings.keepRemovedFor
        configuration.keepRemoved = settings.keepRemoved
        configuration.keepDurations = settings.keepDurations
        configuration.clock = settings.clock
        let ledger = try SQLiteLedger(path: path, configuration: configuration)
        do {
            let value = try await body(ledger)
            await ledger.close()
            return value
        } catch {
            await ledger.close()
            throw error
        }
    }
}

/// A time that the test sets.
final class TestClock: Sendable {
    private let value: Mutex<Double>

    init(_ now: Double) { value = Mutex(now) }

    var now: Double {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

/// A place for one ledger, gone afterwards.
func withLedgerFile<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ledger-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try await body(directory.appendingPathComponent("fleet.sqlite").path)
}
