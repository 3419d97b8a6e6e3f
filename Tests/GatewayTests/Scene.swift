import Authority
import Fleet
import FoundationEssentials
import Gateway
import Ledger
import Link
import Logging
import NIOCore
import NIOPosix
import Session
import Testing
import Trust

/// A scratch folder with a fleet's authority and ledger, in which a test runs gateways and nodes on loopback.
final class Scene: Sendable {
    let path: String
    let authority: CertificateAuthority
    let logger: Logger

    private init() throws {
        path = FileManager.default.temporaryDirectory.path + "/lighter-scene-\(WorkloadID.random())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        authority = try CertificateAuthority.create(fleet: "scene")
        logger = Logger(label: "scene") { _ in SwiftLogNoOpLogHandler() }
    }

    static func with(_ body: (Scene) async throws -> Void) async throws {
        let scene = try Scene()
        defer { try? FileManager.default.removeItem(atPath: scene.path) }
        try await body(scene)
    }

    static var loop: any EventLoop { MultiThreadedEventLoopGroup.singleton.next() }

    // MARK: - Gateways

    /// Runs a gateway while `body` does; `body` gets its address.
    func withGateway<Result: Sendable>(
        port: Int = 0, ledger: (any Ledger)? = nil, _ tweak: (inout GatewayConfiguration) -> Void = { _ in },
        _ body: @Sendable (String) async throws -> Result
    ) async throws -> Result {
        var configuration = GatewayConfiguration()
        configuration.host = "127.0.0.1"
        configuration.port = port
        configuration.heartbeat = .milliseconds(100)
        configuration.pushInterval = .milliseconds(10)
        configuration.measureInterval = .milliseconds(100)
        tweak(&configuration)
        let ledger = try ledger ?? SQLiteLedger(path: path + "/ledger.sqlite")
        let gateway = try await Gateway(
            configuration: configuration, authority: authority, ledger: ledger,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let address = try await gateway.bind()
        let result = try await during({ await gateway.run() }) { try await body("127.0.0.1:\(address.port ?? 0)") }
        await ledger.close()
        return result
    }

    /// A fresh token's text.
    func token(_ gateway: String, tenant: TenantID = .main, ttl: Duration = .seconds(60)) async throws -> JoinToken {
        try await withOperator(gateway) { try JoinToken(try await $0.token(tenant: tenant, ttl: ttl).text) }
    }

    func withOperator<Result: Sendable>(
        _ gateway: String, tenant: TenantID = .main, _ body: @Sendable (OperatorClient) async throws -> Result
    ) async throws -> Result {
        let credentials = try authority.credentials(for: PeerIdentity(role: .operator("admin"), tenant: tenant))
        let client = try await OperatorClient.connect(
            gateway: gateway, credentials: credentials, on: Self.loop, logger: logger)
        defer { client.close() }
        return try await body(client)
    }

    // MARK: - Nodes

    /// A node's session, not yet running. The same name gets the same folder each time.
    func node(
        _ name: String, of gateway: String, tenant: TenantID = .main, addresses: [String] = [], cpus: Double = 4,
        life: Duration = .seconds(86_400)
    ) throws -> GatewaySession {
        try node(name, of: [gateway], tenant: tenant, addresses: addresses, cpus: cpus, life: life)
    }

    /// One that knows several gateways.
    func node(
        _ name: String, of gateways: [String], tenant: TenantID = .main, addresses: [String] = [], cpus: Double = 4,
        life: Duration = .seconds(86_400), leases: (any LeaseHolder)? = nil,
        ended: @escaping @Sendable (WorkloadEnd) -> Void = { _ in }
    ) throws -> GatewaySession {
        let id = try NodeID(name)
        let folder = path + "/node-" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if !Credentials.exist(in: folder + "/credentials") {
            try authority.credentials(for: PeerIdentity(role: .node(id), tenant: tenant), validFor: life).save(
                to: folder + "/credentials")
        }
        var configuration = SessionConfiguration(
            credentialsDirectory: folder + "/credentials", gateways: gateways, advertisedAddresses: addresses,
            stateDirectory: folder, version: "test", describeNode: { Self.describe(id, cpus: cpus) })
        configuration.leases = { leases }
        configuration.workloadEnded = ended
        return try GatewaySession(
            configuration: configuration, loop: Self.loop, logger: logger, serve: Echo.serve)
    }

    private static func describe(_ id: NodeID, cpus: Double) -> Node {
        var node = Node(id: id, engineVersion: "20.10", engineAPIVersion: "1.41")
        node.capacity = Resources(cpus: cpus, memory: .gibibytes(8))
        node.measures.diskFree = .gibibytes(100)
        return node
    }

    /// Runs nodes while `body` does, once all are connected.
    func running(_ nodes: GatewaySession..., body: @Sendable () async throws -> Void) async throws {
        try await during({
            await withDiscardingTaskGroup { group in
                for node in nodes { group.addTask { await node.run() } }
            }
        }) {
            try await eventually("every node is connected") { nodes.allSatisfy(\.isConnected) }
            try await body()
        }
    }
}

/// Runs `background` while `body` does, then cancels it and waits for its end.
func during<Result: Sendable>(
    _ background: @escaping @Sendable () async -> Void, _ body: @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await background() }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        group.cancelAll()
        try await group.waitForAll()
        return try result.get()
    }
}

struct NeverHappened: Error { var what: String }

/// Waits for what happens in another task or process, for which there is no event to await.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(what: what) }
        try await Task.sleep(for: .milliseconds(2))
    }
}

extension Workload {
    /// A workload of a node's own, as its agent reports it.
    static func sample(
        _ id: WorkloadID = .random(), at node: String, tenant: TenantID = .main, state: WorkloadState = .running,
        epoch: UInt64 = 0
    ) throws -> Workload {
        let node = try NodeID(node)
        return Workload(
            id: id, tenant: tenant, origin: node, target: node, state: state,
            version: Version(epoch: epoch, sequence: 0),
            containerID: "c" + id.hex, name: "w-" + id.hex.prefix(6), image: "busybox")
    }
}
