import Fleet
import Ledger
import Testing

extension LedgerConformance {
    static let life = [
        LedgerConformance("everything is there after a restart", home: restart),
        LedgerConformance("concurrent writers end as one writer would") { ledger in
            try await concurrentWriters(ledger)
        },
        LedgerConformance("a report of more workloads than one transaction takes is applied wholly") { ledger in
            let node = try Sample.node("cloud1")
            let updates = try (1...700).map { try Sample.update(Sample.id($0), .running, sequence: 1) }
            #expect(try await ledger.apply(updates, from: node).count == 700)
            #expect(try await ledger.workloads(includingEnded: false).count == 700)
            #expect(try await ledger.apply(updates, from: node).isEmpty)
        },
        LedgerConformance("as many decisions as there are workloads come with them") { ledger in
            for number in 1...300 {
                var lease = try Sample.workload(Sample.id(number))
                lease.decision = try Sample.decision(lease.id)
                lease.decision?.reason = "number \(number)"
                _ = try await ledger.place(lease)
            }
            let all = try await ledger.workloads(includingEnded: true)
            #expect(all.count == 300)
            for workload in all {
                #expect(workload.decision?.workload == workload.id)
                #expect(workload.decision?.reason == "number \(Int(workload.id.hex, radix: 16) ?? 0)")
            }
        },
        LedgerConformance("numbers that are none in a report do not make it fail") { ledger in
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
        },
        LedgerConformance(
            "workloads removed long ago go, then the oldest above the bound; live ones never", home: pruningWorkloads),
        LedgerConformance("kinds of work that were seen long ago are forgotten for newer ones", home: pruningDurations),
    ]

    @Sendable private static func restart(_ home: any LedgerHome) async throws {
        let node = Node(id: try Sample.node("edge1"))
        let id = WorkloadID.random()
        let token = StoredToken(id: "a1", secretHash: [1], tenant: .main, expiresAt: 100)
        let lease = try await home.open { (ledger: any Ledger) async throws in
            var lease = try Sample.workload(id)
            lease.decision = try Sample.decision(id)
            lease = try await ledger.place(lease)
            try await ledger.upsertNode(node)
            try await ledger.setSetting("fleet", "home")
            try await ledger.learn("a", coreSeconds: 3)
            try await ledger.addToken(token)
            return lease
        }
        try await home.open { (ledger: any Ledger) async throws in
            #expect(try await ledger.workload(id) == lease)
            #expect(try await ledger.nodes() == [node])
            #expect(try await ledger.setting("fleet") == "home")
            #expect(try await ledger.estimate("a")?.count == 1)
            await #expect { try await ledger.addToken(token) } throws: {
                ($0 as? LedgerError)?.code == .conflict
            }
            #expect(try await ledger.place(lease).version.epoch == 2)
        }
    }

    @Sendable private static func pruningWorkloads(_ home: any LedgerHome) async throws {
        let clock = TestClock(1000)
        var settings = LedgerSettings()
        settings.keepRemovedFor = 100
        settings.keepRemoved = 3
        settings.clock = { clock.now }
        try await home.open(settings) { (ledger: any Ledger) async throws in
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
            let left = try await ledger.workloads(includingEnded: true)
            #expect(try Set(left.map(\.id)) == Set([2, 6, 7, 8].map(Sample.id)))
            #expect(left.allSatisfy { $0.decision != nil })
        }
    }

    @Sendable private static func pruningDurations(_ home: any LedgerHome) async throws {
        let clock = TestClock(1000)
        var settings = LedgerSettings()
        settings.keepDurations = 2
        settings.clock = { clock.now }
        try await home.open(settings) { (ledger: any Ledger) async throws in
            for kind in ["a", "b", "c"] {
                clock.now += 1
                try await ledger.learn(kind, coreSeconds: 1)
            }
            try await ledger.prune()
            #expect(try await ledger.estimate("a") == nil)
            #expect(try await ledger.estimate("b") != nil)
            #expect(try await ledger.estimate("c") != nil)
        }
    }

    private static func concurrentWriters(_ ledger: any Ledger) async throws {
        let node = try Sample.node("cloud1")
        func updates(from first: Int) throws -> [[WorkloadUpdate]] {
            try (0..<64).map { writer in
                let id = try Sample.id(first + writer)
                return try (1...20).map { try Sample.update(id, $0 == 20 ? .exited : .running, sequence: UInt64($0)) }
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for own in try updates(from: 1) {
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
        for own in try updates(from: 1001) { for update in own { _ = try await ledger.apply([update], from: node) } }
        let all = try await ledger.workloads(includingEnded: true)
        func ends(_ first: Int) throws -> [Version: Int] {
            let ids = try Set((0..<64).map { try Sample.id(first + $0) })
            return Dictionary(
                all.filter { ids.contains($0.id) && $0.state == .exited }.map { ($0.version, 1) }, uniquingKeysWith: +)
        }
        #expect(all.count == 128)
        #expect(try ends(1) == ends(1001))
        #expect(try ends(1) == [Version(epoch: 1, sequence: 20): 64])
    }
}
