import Fleet
import Foundation
import Ledger
import Synchronization
import Testing

@Suite struct SQLiteLedgerTests {
    @Test("SQLite does what every ledger must", arguments: LedgerConformance.all)
    func conforms(_ check: LedgerConformance) async throws {
        try await withLedgerFile { path in
            let ledger = try SQLiteLedger(path: path)
            try await check.body(ledger)
            await ledger.close()
        }
    }

    @Test("everything is there after a restart")
    func restart() async throws {
        try await withLedgerFile { path in
            let first = try SQLiteLedger(path: path)
            let lease = try await first.place(Sample.workload(.random()))
            let node = Node(id: try Sample.node("edge1"))
            try await first.upsertNode(node)
            try await first.setSetting("fleet", "home")
            try await first.learn("a", coreSeconds: 3)
            await first.close()
            let second = try SQLiteLedger(path: path)
            #expect(try await second.workload(lease.id) == lease)
            #expect(try await second.nodes() == [node])
            #expect(try await second.setting("fleet") == "home")
            #expect(try await second.estimate("a")?.count == 1)
            await second.close()
        }
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

    @Test("concurrent writers end as one writer would")
    func equivalence() async throws {
        let updates = try (0..<64).map { writer in
            let id = try Sample.id(writer + 1)
            return try (1...20).map { try Sample.update(id, $0 == 20 ? .exited : .running, sequence: UInt64($0)) }
        }
        let node = try Sample.node("cloud1")
        func end(_ write: (SQLiteLedger) async throws -> Void) async throws -> [Workload] {
            try await withLedgerFile { path in
                let ledger = try SQLiteLedger(path: path)
                try await write(ledger)
                let all = try await ledger.workloads(includingEnded: true)
                await ledger.close()
                return all
            }
        }
        let together = try await end { ledger in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for own in updates {
                    group.addTask {
                        for update in own {
                            let applied = try await ledger.apply([update], from: node)
                            // What was acknowledged is seen by a reader that begins now.
                            #expect(try await ledger.workload(update.workload.id)?.version == applied.first?.version)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        let oneByOne = try await end { ledger in
            for own in updates { for update in own { _ = try await ledger.apply([update], from: node) } }
        }
        #expect(together.count == 64)
        #expect(together == oneByOne)
    }

    @Test("numbers that are none in a report do not make it fail")
    func notANumber() async throws {
        try await withLedgerFile { path in
            let ledger = try SQLiteLedger(path: path)
            var workload = try Sample.workload(.random())
            workload.startedAt = .nan
            workload.finishedAt = .infinity
            workload.resources.cpus = .nan
            workload.decision = try Sample.decision(workload.id)
            workload.decision?.candidates[0].score = .infinity
            #expect(try await ledger.apply([WorkloadUpdate(workload)], from: Sample.node("cloud1")).count == 1)
            let kept = try #require(try await ledger.workload(workload.id))
            #expect(kept.startedAt == 0)
            #expect(kept.decision?.candidates[0].score == .infinity)
            await ledger.close()
        }
    }

    @Test("workloads removed long ago go, then the oldest above the bound; live ones never")
    func pruning() async throws {
        try await withLedgerFile { path in
            let clock = TestClock(1000)
            var configuration = SQLiteLedger.Configuration()
            configuration.keepRemovedFor = 100
            configuration.keepRemoved = 3
            configuration.clock = { clock.now }
            let ledger = try SQLiteLedger(path: path, configuration: configuration)
            let node = try Sample.node("cloud1")
            for number in 1...8 {
                clock.now = number == 1 ? 1000 : 1900 + Double(number)
                let state: WorkloadState = number == 2 ? .running : .removed
                var workload = try Sample.workload(Sample.id(number), state: state)
                workload.decision = try Sample.decision(workload.id)
                _ = try await ledger.apply([WorkloadUpdate(workload)], from: node)
            }
            clock.now = 1910
            try await ledger.prune()
            let left = try await ledger.workloads(includingEnded: true).map(\.id)
            #expect(try Set(left) == Set([2, 6, 7, 8].map(Sample.id)))
            await ledger.close()
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
