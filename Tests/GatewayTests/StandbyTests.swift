import Authority
import Fleet
import Gateway
import Ledger
import Link
import NIOCore
import NIOPosix
import Session
import Synchronization
import Testing
import Trust

@Suite(.timeLimit(.minutes(2)))
struct StandbyTests {
    private func withStandby(
        _ scene: Scene, leader: String?, ledger: (any LedgerReader)? = nil,
        _ body: @Sendable (String) async throws -> Void
    ) async throws {
        var configuration = GatewayConfiguration()
        configuration.host = "127.0.0.1"
        configuration.port = 0
        let standby = try StandbyGateway(
            configuration: configuration, authority: scene.authority,
            ledger: try ledger ?? SQLiteLedger(path: scene.path + "/standby-\(UInt32.random(in: 0 ... .max)).sqlite"),
            group: MultiThreadedEventLoopGroup.singleton, logger: scene.logger)
        standby.leader = leader
        let address = try await standby.bind()
        try await during({ await standby.run() }) { try await body("127.0.0.1:\(address.port ?? 0)") }
    }

    @Test("A node that comes to a gateway that waits goes on to the one that leads")
    func node() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { leader in
                try await withStandby(scene, leader: leader) { standby in
                    let node = try scene.node("edge", of: [standby, leader])
                    try await scene.running(node) {
                        let nodes = try await scene.withOperator(leader) { try await $0.nodes() }
                        #expect(nodes.map(\.id.name) == ["edge"])
                    }
                }
            }
        }
    }

    @Test("An operator is shown what the ledger holds, as far as its tenant goes; how nodes are, the leader is asked")
    func reads() async throws {
        try await Scene.with { scene in
            let ledger = try SQLiteLedger(path: scene.path + "/ledger.sqlite")
            let own = try await ledger.place(
                Workload(
                    id: .random(), tenant: .main, origin: try NodeID("edge"), target: try NodeID("cloud"),
                    version: Version(epoch: 0, sequence: 0), name: "own"))
            _ = try await ledger.place(
                Workload(
                    id: .random(), tenant: try TenantID("other"), origin: try NodeID("far"), target: try NodeID("far"),
                    version: Version(epoch: 0, sequence: 0), name: "theirs"))
            try await withStandby(scene, leader: nil, ledger: ledger) { standby in
                let (all, one) = try await scene.withOperator(standby) {
                    (try await $0.workloads(), try await $0.explain("own"))
                }
                #expect(Set(all.map(\.name)) == ["own", "theirs"])
                #expect(one.id == own.id && one.version.epoch == 1)
                await #expect { try await scene.withOperator(standby) { try await $0.explain("nobody") } } throws: {
                    ($0 as? SessionError)?.code == .notFound
                }
                let scoped = try await scene.withOperator(standby, tenant: try TenantID("other")) {
                    try await $0.workloads()
                }
                #expect(scoped.map(\.name) == ["theirs"])
                await #expect {
                    try await scene.withOperator(standby) { try await $0.token(ttl: .seconds(60)) }
                } throws: {
                    "\($0)".contains("not the leader")
                }
            }
            try await scene.withGateway(ledger: ledger) { leader in
                let node = try scene.node("edge", of: leader)
                try await scene.running(node) {
                    try await withStandby(scene, leader: leader, ledger: ledger) { standby in
                        let nodes = try await scene.withOperator(standby) { try await $0.nodes() }
                        #expect(nodes.map(\.id.name) == ["edge"] && nodes.map(\.state) == [.ready])
                    }
                }
            }
        }
    }

    @Test("An operator is told who leads, in the answer to what it asked")
    func anOperator() async throws {
        try await Scene.with { scene in
            try await withStandby(scene, leader: "gateway2.example:7700") { standby in
                await #expect {
                    try await scene.withOperator(standby) { try await $0.token(ttl: .seconds(60)) }
                } throws: {
                    "\($0)".contains("not the leader; the leader is gateway2.example:7700")
                }
            }
            try await withStandby(scene, leader: nil) { standby in
                await #expect {
                    try await scene.withOperator(standby) { try await $0.token(ttl: .seconds(60)) }
                } throws: {
                    "\($0)".contains("none is known")
                }
            }
        }
    }

    @Test("That nobody can lead is not taken for another that leads; each is said once, until it changes")
    func news() {
        var news = StandbyNews()
        #expect(news.line(.hasNoStore)?.hasPrefix("etcd cannot be reached") == true)
        #expect(news.line(.hasNoStore) == nil)
        #expect(news.line(.isLed("g1:7700")) == "another gateway leads the fleet; waiting")
        #expect(news.line(.isLed("g1:7700")) == nil)
        #expect(news.line(.isLed("g2:7700")) != nil)
        #expect(news.line(.hasNoStore) != nil)
    }

    @Test("Who comes while it ends, with its handshake not done yet, is sent away and does not wait")
    func handshaking() async throws {
        try await Scene.with { scene in
            let held = Mutex<(any Channel)?>(nil)
            try await withStandby(scene, leader: nil) { standby in
                let port = try Endpoint(standby).port
                let channel = try await ClientBootstrap(group: Scene.loop).connect(host: "127.0.0.1", port: port).get()
                held.withLock { $0 = channel }
                // It has been taken in by then.
                try await Task.sleep(for: .milliseconds(200))
            }
            let channel = try #require(held.withLock { $0 })
            let credentials = try scene.authority.credentials(
                for: PeerIdentity(role: .operator("admin"), tenant: .main))
            let began = ContinuousClock.now
            let link = try? await Link.attach(
                to: channel, role: .client, tls: try LinkTLS.client(credentials: credentials), logger: scene.logger
            ) { stream, _ in stream.eventLoop.makeFailedFuture(ChannelError.operationUnsupported) }.get()
            try? await link?.closed.get()
            #expect(began.duration(to: .now) < .seconds(5))
        }
    }

    @Test("Its address is free for the gateway that it becomes")
    func takesOver() async throws {
        try await Scene.with { scene in
            let port = Mutex(0)
            try await withStandby(scene, leader: nil) { standby in
                let number = try Endpoint(standby).port
                port.withLock { $0 = number }
                await #expect(throws: SessionError.self) {
                    try await scene.withOperator(standby) { try await $0.nodes() }
                }
            }
            try await scene.withGateway(port: port.withLock { $0 }) { (gateway: String) async throws in
                #expect(try await scene.withOperator(gateway) { try await $0.nodes() }.isEmpty)
            }
        }
    }
}
