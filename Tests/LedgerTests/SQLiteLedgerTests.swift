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
