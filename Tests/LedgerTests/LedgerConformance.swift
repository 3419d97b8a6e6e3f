import Fleet
import Foundation
import Ledger
import Testing

/// What every ledger must do, whatever it stores in; each check gets an empty place for a ledger of its own.
///
///     @Test(arguments: LedgerConformance.all)
///     func conforms(_ check: LedgerConformance) async throws {
///         try await check.body(MyHome())
///     }
struct LedgerConformance: Sendable, CustomTestStringConvertible {
    let title: String
    let body: @Sendable (any LedgerHome) async throws -> Void

    var testDescription: String { title }

    init(_ title: String, _ body: @escaping @Sendable (any Ledger) async throws -> Void) {
        self.init(
            title,
            home: { home in
                try await home.open { ledger in try await body(ledger) }
            })
    }

    /// For what needs a ledger opened more than once, or with settings.
    init(_ title: String, home body: @escaping @Sendable (any LedgerHome) async throws -> Void) {
        self.title = title
        self.body = body
    }

    static let all = workloads + reports + looking + members + knowledge + life
}

/// Where one ledger is kept, to be opened again and again.
protocol LedgerHome: Sendable {
    /// Opens the ledger for `body`, and closes it afterwards.
    func open<Value: Sendable>(
        _ settings: LedgerSettings, _ body: @escaping @Sendable (any Ledger) async throws -> Value
    ) async throws -> Value
}

extension LedgerHome {
    func open<Value: Sendable>(
        _ body: @escaping @Sendable (any Ledger) async throws -> Value
    ) async throws -> Value { try await open(LedgerSettings(), body) }
}

/// The settings that all ledgers have.
struct LedgerSettings: Sendable {
    var keepRemovedFor: Double = 7 * 86_400
    var keepRemoved = 10_000
    var keepDurations = 10_000
    var clock: @Sendable () -> Double = { Date().timeIntervalSince1970 }
}

// MARK: - Material

enum Sample {
    static func node(_ name: String) throws -> NodeID { try NodeID(name) }

    static func id(_ number: Int) throws -> WorkloadID {
        let digits = String(number, radix: 16)
        return try WorkloadID(String(repeating: "0", count: 32 - digits.count) + digits)
    }

    static func workload(
        _ id: WorkloadID, origin: String = "edge1", target: String = "cloud1", state: WorkloadState = .running,
        epoch: UInt64 = 1, sequence: UInt64 = 1
    ) throws -> Workload {
        try Workload(
            id: id, tenant: .main, origin: node(origin), target: node(target), state: state,
            version: Version(epoch: epoch, sequence: sequence), name: "web", image: "busybox", createdAt: 10)
    }

    static func update(
        _ id: WorkloadID, _ state: WorkloadState, epoch: UInt64 = 1, sequence: UInt64
    ) throws -> WorkloadUpdate {
        WorkloadUpdate(try workload(id, state: state, epoch: epoch, sequence: sequence))
    }

    static func decision(_ id: WorkloadID) throws -> Decision {
        try Decision(
            workload: id, policy: .completion, target: node("cloud1"), reason: "cloud1 is done in 2 s",
            candidates: [
                .init(node: node("cloud1"), score: 2, terms: [.init("work", 2, "s")]),
                .init(node: node("edge1"), refusals: ["memory: asks 2 GiB, 1 GiB free"]),
            ], snapshotRevision: 4, decidedAt: 9)
    }
}

// MARK: - Workloads

extension LedgerConformance {
    static let workloads = [
        LedgerConformance("a workload comes back exactly as it was placed, in epoch 1") { ledger in
            let id = WorkloadID.random()
            var lease = try Sample.workload(id, state: .running, epoch: 9, sequence: 9)
            lease.resources = Resources(cpus: 1.5, memory: .mebibytes(64))
            lease.workKey = "key"
            lease.decision = try Sample.decision(id)
            let placed = try await ledger.place(lease)
            lease.state = .pending
            lease.version = Version(epoch: 1, sequence: 0)
            #expect(placed == lease)
            #expect(try await ledger.workload(id) == lease)
        },
        LedgerConformance("every placement of a workload has the next epoch") { ledger in
            let lease = try Sample.workload(.random())
            for epoch in 1...5 as ClosedRange<UInt64> {
                #expect(try await ledger.place(lease).version == Version(epoch: epoch, sequence: 0))
            }
        },
        LedgerConformance("placements at once each get an epoch of their own") { ledger in
            let lease = try Sample.workload(.random())
            let epochs = try await withThrowingTaskGroup(of: UInt64.self) { group in
                for _ in 0..<40 { group.addTask { try await ledger.place(lease).version.epoch } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(epochs.sorted() == Array(1...40))
        },
        LedgerConformance("another origin or tenant cannot place under the same id") { ledger in
            let id = WorkloadID.random()
            _ = try await ledger.place(Sample.workload(id))
            await #expect { try await ledger.place(Sample.workload(id, origin: "edge2")) } throws: {
                ($0 as? LedgerError)?.code == .conflict
            }
            #expect(try await ledger.workload(id)?.version.epoch == 1)
        },
        LedgerConformance("a report is applied once, and an older one never") { ledger in
            let id = WorkloadID.random()
            let node = try Sample.node("cloud1")
            let running = try Sample.update(id, .running, sequence: 3)
            #expect(try await ledger.apply([running], from: node).map(\.state) == [.running])
            #expect(try await ledger.apply([running], from: node).isEmpty)
            #expect(try await ledger.apply([Sample.update(id, .created, sequence: 2)], from: node).isEmpty)
            #expect(
                try await ledger.apply([Sample.update(id, .exited, sequence: 4)], from: node).map(\.state) == [.exited])
            #expect(try await ledger.workload(id)?.state == .exited)
        },
        LedgerConformance("a report of an old epoch changes nothing, however high its sequence") { ledger in
            let lease = try Sample.workload(.random())
            _ = try await ledger.place(lease)
            _ = try await ledger.place(lease)
            let stale = try Sample.update(lease.id, .running, epoch: 1, sequence: 1_000_000)
            #expect(try await ledger.apply([stale], from: Sample.node("cloud1")).isEmpty)
            #expect(try await ledger.workload(lease.id)?.version == Version(epoch: 2, sequence: 0))
        },
        LedgerConformance("a report keeps the decision and the name that only the placement knew") { ledger in
            let id = WorkloadID.random()
            var lease = try Sample.workload(id)
            lease.decision = try Sample.decision(id)
            _ = try await ledger.place(lease)
            var report = try Sample.workload(id, state: .exited, sequence: 1)
            report.name = ""
            report.exitCode = 137
            report.error = "out of memory"
            _ = try await ledger.apply([WorkloadUpdate(report)], from: Sample.node("cloud1"))
            let kept = try #require(try await ledger.workload(id))
            #expect(kept.decision == lease.decision)
            #expect(kept.name == "web")
            #expect(kept.exitCode == 137)
            #expect(kept.error == "out of memory")
        },
        LedgerConformance("only the origin or the target may bring in or change a workload") { ledger in
            let id = WorkloadID.random()
            let stranger = try Sample.node("other")
            #expect(try await ledger.apply([Sample.update(id, .running, sequence: 1)], from: stranger).isEmpty)
            #expect(try await ledger.workload(id) == nil)
            #expect(
                try await ledger.apply([Sample.update(id, .running, sequence: 1)], from: Sample.node("edge1")).count
                    == 1)
            let forged = WorkloadUpdate(
                try Sample.workload(id, origin: "other", target: "other", epoch: 2, sequence: 1))
            #expect(try await ledger.apply([forged], from: stranger).isEmpty)
            #expect(try await ledger.workload(id)?.target == Sample.node("cloud1"))
        },
        LedgerConformance("the target of a placement that the ledger lost is believed") { ledger in
            let id = WorkloadID.random()
            _ = try await ledger.place(Sample.workload(id))
            let later = WorkloadUpdate(try Sample.workload(id, target: "cloud2", epoch: 2, sequence: 1))
            #expect(try await ledger.apply([later], from: Sample.node("cloud2")).count == 1)
            #expect(try await ledger.workload(id)?.target == Sample.node("cloud2"))
        },
        LedgerConformance("any order and any number of copies of the same reports end in the same state") { ledger in
            try await mergesInAnyOrder(ledger)
        },
        LedgerConformance("the greatest epochs and sequences there are compare as they should") { ledger in
            let id = WorkloadID.random()
            let node = try Sample.node("cloud1")
            let last = try Sample.update(id, .exited, epoch: .max, sequence: .max)
            #expect(try await ledger.apply([last], from: node).count == 1)
            #expect(try await ledger.apply([Sample.update(id, .running, sequence: 1)], from: node).isEmpty)
            #expect(try await ledger.workload(id)?.version == Version(epoch: .max, sequence: .max))
        },
        LedgerConformance("a pending lease is given back once, in its own epoch only") { ledger in
            let lease = try Sample.workload(.random())
            _ = try await ledger.place(lease)
            #expect(try await ledger.abandon(lease.id, epoch: 2, reason: "x") == nil)
            let gone = try #require(try await ledger.abandon(lease.id, epoch: 1, reason: "image not found"))
            #expect(gone.state == .removed)
            #expect(gone.error == "image not found")
            #expect(try await ledger.abandon(lease.id, epoch: 1, reason: "x") == nil)
            #expect(try await ledger.abandon(.random(), epoch: 1, reason: "x") == nil)
        },
        LedgerConformance("a container that exists after all wins over a lease given back") { ledger in
            let lease = try Sample.workload(.random())
            _ = try await ledger.place(lease)
            try await ledger.abandon(lease.id, epoch: 1, reason: "timeout")
            _ = try await ledger.apply([Sample.update(lease.id, .running, sequence: 1)], from: Sample.node("cloud1"))
            #expect(try await ledger.workload(lease.id)?.state == .running)
            #expect(try await ledger.abandon(lease.id, epoch: 1, reason: "x") == nil)
        },
    ]

    /// Eight workloads, a hundred reports, ten orders with copies.
    private static func mergesInAnyOrder(_ ledger: any Ledger) async throws {
        let node = try Sample.node("cloud1")
        var reference: [Version: WorkloadState]?
        var random = SystemRandomNumberGenerator()
        let states = WorkloadState.allCases
        let script: [(workload: Int, state: WorkloadState, version: Version)] = (0..<100).map { number in
            let state = states[Int.random(in: states.indices, using: &random)]
            return (number % 8, state, Version(epoch: UInt64(number / 40 + 1), sequence: UInt64(number)))
        }
        for round in 0..<10 {
            let ids = try (0..<8).map { try Sample.id(round * 100 + $0 + 1) }
            var reports = try script.map { step in
                try Sample.update(
                    ids[step.workload], step.state, epoch: step.version.epoch, sequence: step.version.sequence)
            }
            reports += reports.prefix(Int.random(in: 0...100, using: &random))
            reports.shuffle(using: &random)
            while !reports.isEmpty {
                let count = min(reports.count, Int.random(in: 1...9, using: &random))
                _ = try await ledger.apply(Array(reports.prefix(count)), from: node)
                reports.removeFirst(count)
            }
            var end: [Version: WorkloadState] = [:]
            for id in ids {
                let kept = try #require(try await ledger.workload(id))
                end[kept.version] = kept.state
            }
            #expect(end.count == 8)
            #expect(reference == nil || reference == end)
            reference = end
        }
    }
}
