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
