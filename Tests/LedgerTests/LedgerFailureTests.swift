import Fleet
import Foundation
import Ledger
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct LedgerFailureTests {
    private func code(_ path: String) -> LedgerError.Code? {
        do throws(LedgerError) {
            _ = try SQLiteLedger(path: path)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("a second gateway is refused, told by whom, and let in when the first is gone")
    func locked() async throws {
        try await withLedgerFile { path in
            let first = try SQLiteLedger(path: path)
            #expect { try SQLiteLedger(path: path) } throws: {
                ($0 as? LedgerError)?.code == .locked && "\($0)".contains("process \(getpid())")
            }
            try await first.setSetting("a", "b")
            await first.close()
            let second = try SQLiteLedger(path: path)
            #expect(try await second.setting("a") == "b")
            await second.close()
        }
    }

    @Test("a file that is no ledger is left as it is")
    func notALedger() async throws {
        try await withLedgerFile { path in
            let rubbish = Data(String(repeating: "no database ", count: 1000).utf8)
            try rubbish.write(to: URL(fileURLWithPath: path))
            #expect(code(path) == .corrupt)
            #expect(FileManager.default.contents(atPath: path) == rubbish)
        }
    }

    @Test("a damaged ledger is found when it is opened")
    func damaged() async throws {
        try await withLedgerFile { path in
            let ledger = try SQLiteLedger(path: path)
            for number in 1...400 { _ = try await ledger.place(Sample.workload(Sample.id(number))) }
            await ledger.close()
            let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            let size = try handle.seekToEnd()
            for offset in stride(from: 4096, to: size - 4096, by: 4096) {
                try handle.seek(toOffset: offset)
                try handle.write(contentsOf: Data(repeating: 0xa5, count: 4096))
            }
            try handle.close()
            #expect(code(path) == .corrupt)
        }
    }

    @Test("a directory that is not there is named")
    func noDirectory() {
        #expect { try SQLiteLedger(path: "/nowhere/fleet.sqlite") } throws: {
            ($0 as? LedgerError)?.code == .readOnly && "\($0)".contains("/nowhere")
        }
    }

    @Test("a newer release's ledger is not touched")
    func newer() async throws {
        try await withLedgerFile { path in
            let ledger = try SQLiteLedger(path: path)
            try await ledger.execute("INSERT INTO grdb_migrations VALUES ('99 something of tomorrow')")
            await ledger.close()
            #expect(code(path) == .newerSchema)
        }
    }

    @Test("a full disk fails the writes that find no room, loses nothing, and is forgotten when there is room")
    func full() async throws {
        try await withLedgerFile { path in
            var configuration = SQLiteLedger.Configuration()
            configuration.maximumSize = .kibibytes(400)
            let ledger = try SQLiteLedger(path: path, configuration: configuration)
            let acknowledged = try await fill(ledger)
            #expect(acknowledged.count > 100)
            let kept = try await ledger.workloads(includingEnded: true).map(\.id)
            #expect(Set(kept) == acknowledged)
            // What needs no more room still works.
            let some = try #require(acknowledged.first)
            try await ledger.abandon(some, epoch: 1, reason: "no room")
            #expect(try await ledger.workload(some)?.state == .removed)

            try await ledger.limit(to: .mebibytes(64))
            let more = try await ledger.place(Sample.workload(.random()))
            await ledger.close()
            let again = try SQLiteLedger(path: path)
            let all = try await again.workloads(includingEnded: true).map(\.id)
            #expect(Set(all) == acknowledged.union([more.id]))
            await again.close()
        }
    }

    /// Places from many tasks until each has been told that the disk is full, and returns what was acknowledged.
    private func fill(_ ledger: SQLiteLedger) async throws -> Set<WorkloadID> {
        try await withThrowingTaskGroup(of: Set<WorkloadID>.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var acknowledged: Set<WorkloadID> = []
                    while true {
                        let lease = try Sample.workload(.random())
                        do throws(LedgerError) {
                            _ = try await ledger.place(lease)
                        } catch {
                            #expect(error.code == .full)
                            return acknowledged
                        }
                        acknowledged.insert(lease.id)
                    }
                }
            }
            return try await group.reduce(into: []) { $0.formUnion($1) }
        }
    }

    @Test("what was acknowledged survives the gateway being killed in mid-write")
    func killed() async throws {
        try await withLedgerFile { path in
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                try await writeUntilKilled(path)
            }
            let log = try String(contentsOfFile: path + ".acknowledged", encoding: .utf8)
            let acknowledged = try log.split(separator: "\n").map { try WorkloadID(String($0)) }
            #expect(acknowledged.count >= 300)
            let ledger = try SQLiteLedger(path: path)
            let kept = try await ledger.workloads(includingEnded: true)
            #expect(Set(acknowledged).subtracting(kept.map(\.id)).isEmpty)
            #expect(kept.allSatisfy { $0.version.epoch == 1 })
            await ledger.close()
        }
    }
}

/// Writes from many tasks, notes what was acknowledged, and dies by `kill -9` while the others are writing.
private func writeUntilKilled(_ path: String) async throws {
    let ledger = try SQLiteLedger(path: path)
    let log = open(path + ".acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
    let count = Counter()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<32 {
            group.addTask {
                while true {
                    let lease = try await ledger.place(Sample.workload(.random()))
                    let line = Array((lease.id.hex + "\n").utf8)
                    _ = write(log, line, line.count)
                    if count.next() == 300 { kill(getpid(), SIGKILL) }
                }
            }
        }
        try await group.waitForAll()
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
