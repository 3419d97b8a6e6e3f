import Etcd
import Fleet
import Foundation
import Ledger
import LedgerEtcd
import LighterTesting
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// Each starts an etcd of its own, to do it harm.
@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: EtcdServer.missing == nil, "there is no etcd program; scripts/need etcd installs it"))
struct EtcdFailureTests {
    private let me = Leader(address: "127.0.0.1:1", authority: "a")

    private func code(_ body: () async throws -> Void) async -> LedgerError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? LedgerError)?.code
        }
    }

    @Test("one gateway leads at a time, and the next when it has given up the lead")
    func election() async throws {
        let home = try EtcdHome()
        let (first, second) = (try home.client(), try home.client())
        defer {
            first.close()
            second.close()
        }
        let election = EtcdElection(client: second)
        let leadership = try #require(try await EtcdElection(client: first, life: .seconds(20)).campaign(as: me))
        #expect(try await election.leader() == me)
        #expect(try await election.campaign(as: me) == nil)
        try await EtcdLedger.lead(with: leadership, on: first) { ledger in try await ledger.setSetting("a", "b") }
        #expect(try await election.leader() == nil)
        let next = try #require(try await election.campaign(as: me))
        let setting = try await EtcdLedger.lead(with: next, on: second) { ledger in try await ledger.setting("a") }
        #expect(setting == "b")
    }

    @Test("a gateway whose place another took writes nothing any more, and is told")
    func deposed() async throws {
        let home = try EtcdHome()
        let (old, new) = (try home.client(), try home.client())
        defer {
            old.close()
            new.close()
        }
        let leadership = try #require(try await EtcdElection(client: old, life: .seconds(30)).campaign(as: me))
        let candidate = me
        try await EtcdLedger.lead(with: leadership, on: old) { (ledger: EtcdLedger) async throws in
            let id = WorkloadID.random()
            _ = try await ledger.place(Sample.workload(id))
            // As if the lease had run out while this gateway was stopped.
            var request = EtcdDeleteRangeRequest()
            request.key = Data("\(home.location.prefix)/leader".utf8)
            _ = try await new.deleteRange(request)
            let successor = try #require(try await EtcdElection(client: new).campaign(as: candidate))
            try await EtcdLedger.lead(with: successor, on: new) { (next: EtcdLedger) async throws in
                for _ in 0..<2 {
                    await #expect { try await ledger.place(Sample.workload(id)) } throws: {
                        ($0 as? LedgerError)?.code == .notLeader
                    }
                }
                await #expect { try await ledger.workload(id) } throws: { ($0 as? LedgerError)?.code == .notLeader }
                #expect(try await next.place(Sample.workload(id)).version.epoch == 2)
            }
        }
    }

    @Test("when the lease is gone, what uses the ledger is cancelled")
    func leaseLost() async throws {
        let server = try EtcdServer.start(members: 1)[0]
        defer { server.kill() }
        let client = try EtcdHome([server]).client()
        defer { client.close() }
        let leadership = try #require(try await EtcdElection(client: client).campaign(as: me))
        let begun = ContinuousClock.now
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            server.pause()
            try? await Task.sleep(for: .seconds(60))
            #expect(Task.isCancelled)
            await #expect { try await ledger.setSetting("a", "b") } throws: {
                ($0 as? LedgerError)?.code == .notLeader
            }
        }
        #expect(ContinuousClock.now - begun < .seconds(10))
        server.goOn()
    }

    @Test("writes wait for an etcd that stands still for less than the lease, and are done once")
    func standstill() async throws {
        let server = try EtcdServer.start(members: 1)[0]
        defer { server.kill() }
        let client = try EtcdHome([server]).client()
        defer { client.close() }
        let leadership = try #require(
            try await EtcdElection(client: client, life: .seconds(30)).campaign(as: me))
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            let id = WorkloadID.random()
            _ = try await ledger.place(Sample.workload(id))
            server.pause()
            async let placed = ledger.place(Sample.workload(id))
            // Longer than one try, so that it is sent more than once.
            try await Task.sleep(for: .milliseconds(2500))
            server.goOn()
            #expect(try await placed.version.epoch == 2)
            #expect(try await ledger.place(Sample.workload(id)).version.epoch == 3)
        }
    }

    @Test("what was acknowledged is there when etcd was killed and has started again")
    func killed() async throws {
        let server = try EtcdServer.start(members: 1)[0]
        defer { server.kill() }
        let client = try EtcdHome([server]).client()
        defer { client.close() }
        let leadership = try #require(
            try await EtcdElection(client: client, life: .seconds(30)).campaign(as: me))
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            let ids = try await withThrowingTaskGroup(of: WorkloadID.self) { group in
                for number in 1...400 {
                    group.addTask {
                        if number == 200 {
                            server.kill()
                            try server.start()
                        }
                        return try await ledger.place(Sample.workload(.random())).id
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ids.count == 400)
            let kept = try await ledger.workloads(includingEnded: true)
            #expect(Set(kept.map(\.id)) == ids)
            #expect(kept.allSatisfy { $0.version.epoch == 1 })
        }
    }

    @Test("of three members one may go, and without two the error says so")
    func members() async throws {
        let servers = try EtcdServer.start(members: 3)
        defer { for server in servers { server.kill() } }
        let client = try EtcdHome(servers).client()
        defer { client.close() }
        let election = EtcdElection(client: client, life: .seconds(60))
        let leadership = try #require(try await election.campaign(as: me))
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            try await ledger.setSetting("a", "1")
            servers[0].kill()
            try await ledger.setSetting("a", "2")
            servers[1].kill()
            await #expect { try await ledger.setSetting("a", "3") } throws: {
                ($0 as? LedgerError)?.code == .unreachable
            }
            try servers[0].start()
            try await ledger.setSetting("a", "4")
            #expect(try await ledger.setting("a") == "4")
        }
    }

    @Test("an etcd without space says so, and takes writes again when it has some")
    func full() async throws {
        let server = try EtcdServer.start(members: 1, options: ["--quota-backend-bytes=400000"])[0]
        defer { server.kill() }
        let client = try EtcdHome([server]).client()
        defer { client.close() }
        let leadership = try #require(
            try await EtcdElection(client: client, life: .seconds(60)).campaign(as: me))
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            var acknowledged: Set<WorkloadID> = []
            await #expect {
                while acknowledged.count < 10_000 {
                    acknowledged.insert(try await ledger.place(Sample.workload(.random())).id)
                }
            } throws: {
                ($0 as? LedgerError)?.code == .full && "\($0)".contains("quota-backend-bytes")
            }
            #expect(acknowledged.count > 10)
            let kept = try await ledger.workloads(includingEnded: true)
            #expect(Set(kept.map(\.id)) == acknowledged)
        }
    }

    @Test("what somebody else changed in etcd is seen, and not overwritten unseen")
    func changedByHand() async throws {
        let home = try EtcdHome()
        let client = try home.client()
        defer { client.close() }
        let leadership = try #require(
            try await EtcdElection(client: client, life: .seconds(30)).campaign(as: me))
        try await EtcdLedger.lead(with: leadership, on: client) { (ledger: EtcdLedger) async throws in
            let placed = try await ledger.place(Sample.workload(.random()))
            var changed = placed
            changed.version.epoch = 41
            var put = EtcdPutRequest()
            put.key = Data("\(home.location.prefix)/workload/\(placed.id.hex)".utf8)
            put.value = try LedgerRecord.workload(.init(changed, changedAt: 0)).encoded()
            _ = try await client.put(put)
            #expect(try await ledger.place(placed).version.epoch == 42)
        }
    }

    @Test("an etcd that is not there is named")
    func nowhere() async throws {
        var configuration = EtcdClient.Configuration(location: try EtcdLocation("etcd://127.0.0.1:1"))
        configuration.callTimeout = .milliseconds(300)
        let client = try EtcdClient(configuration, group: MultiThreadedEventLoopGroup.singleton)
        defer { client.close() }
        await #expect { try await EtcdElection(client: client).leader() } throws: {
            ($0 as? LedgerError)?.code == .unreachable && "\($0)".contains("127.0.0.1:1")
        }
    }

    @Test("a later release's ledger is not touched")
    func newer() async throws {
        let home = try EtcdHome()
        let client = try home.client()
        defer { client.close() }
        var put = EtcdPutRequest()
        put.key = Data("\(home.location.prefix)/schema".utf8)
        put.value = Data("99".utf8)
        _ = try await client.put(put)
        let leadership = try #require(try await EtcdElection(client: client).campaign(as: me))
        let found = await code { try await EtcdLedger.lead(with: leadership, on: client) { _ in } }
        #expect(found == .newerSchema)
    }
}
