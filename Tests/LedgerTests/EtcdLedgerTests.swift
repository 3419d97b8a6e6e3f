import Etcd
import Fleet
import Foundation
import Ledger
import LedgerEtcd
import LighterTesting
import NIOPosix
import Testing

@Suite(.enabled(if: EtcdServer.missing == nil, "there is no etcd program; scripts/need etcd installs it"))
struct EtcdLedgerTests {
    @Test("etcd does what every ledger must", arguments: LedgerConformance.all)
    func conforms(_ check: LedgerConformance) async throws {
        try await check.body(EtcdHome())
    }

    @Test("Who does not lead reads what the one that leads has written, at once")
    func reader() async throws {
        let home = try EtcdHome()
        let client = try home.client()
        defer { client.close() }
        let reader = EtcdLedgerReader(client)
        #expect(try await reader.workloads(includingEnded: true).isEmpty)
        try await home.open(LedgerSettings()) { ledger in
            let node = try NodeID("edge")
            // More than etcd is asked for at once.
            for number in 0..<600 {
                var lease = Workload(
                    id: .random(), tenant: .main, origin: node, target: node, version: Version(epoch: 0, sequence: 0),
                    name: "n\(number)", createdAt: Double(number))
                if number == 599 {
                    lease.decision = Decision(workload: lease.id, policy: .local, target: node, reason: "it is best")
                }
                _ = try await ledger.place(lease)
            }
            let all = try await reader.workloads(includingEnded: false)
            #expect(all.map(\.id) == (try await ledger.workloads(includingEnded: false)).map(\.id) && all.count == 600)
            let last = try #require(try await reader.find("n599").first)
            #expect(last.version.epoch == 1 && last.decision?.reason == "it is best")
            #expect(try await reader.find(last.id.hex.prefix(30).description).map(\.id) == [last.id])
            _ = try await ledger.abandon(last.id, epoch: 1, reason: "none came")
            #expect(try await reader.workloads(includingEnded: false).count == 599)
            #expect(try await reader.find("nobody").isEmpty)
        }
    }
}

/// A prefix of its own on an etcd.
struct EtcdHome: LedgerHome {
    var location: EtcdLocation

    init(_ servers: [EtcdServer]? = nil) throws {
        let ports = try (servers ?? [EtcdServer.sharedServer()]).map { "127.0.0.1:\($0.port)" }
        location = try EtcdLocation("etcd://\(ports.joined(separator: ","))/\(UUID())")
    }

    func client() throws -> EtcdClient {
        try EtcdClient(.init(location: location), group: MultiThreadedEventLoopGroup.singleton)
    }

    func open<Value: Sendable>(
        _ settings: LedgerSettings, _ body: @escaping @Sendable (any Ledger) async throws -> Value
    ) async throws -> Value {
        var configuration = EtcdLedger.Configuration()
        configuration.keepRemovedFor = settings.keepRemovedFor
        configuration.keepRemoved = settings.keepRemoved
        configuration.keepDurations = settings.keepDurations
        configuration.clock = settings.clock
        let client = try client()
        defer { client.close() }
        // A machine that is busy with other tests must not lose the lead.
        let election = EtcdElection(client: client, life: .seconds(20))
        let leadership = try #require(try await election.campaign(as: Leader(address: "127.0.0.1:1", authority: "")))
        return try await EtcdLedger.lead(with: leadership, on: client, configuration: configuration) { ledger in
            try await body(ledger)
        }
    }
}
