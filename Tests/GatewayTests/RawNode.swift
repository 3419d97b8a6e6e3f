import Authority
import Fleet
import Link
import Logging
import NIOCore
import Session
import Synchronization
import Trust
import Wire

/// A node that says exactly what a test wants, on a control stream of its own.
final class RawNode: Sendable {
    typealias Body = Lighter_V1_Envelope.OneOf_Body

    let control: ControlStream
    private let inbox: Inbox

    private final class Inbox: Sendable { let bodies = Mutex<[Body]>([]) }

    private init(control: ControlStream, inbox: Inbox) {
        self.control = control
        self.inbox = inbox
    }

    static func connect(_ scene: Scene, _ name: String, to gateway: String, tenant: TenantID = .main) async throws
        -> RawNode
    {
        let identity = PeerIdentity(role: .node(try NodeID(name)), tenant: tenant)
        let credentials = try scene.authority.credentials(for: identity)
        let link = try await link(scene, credentials, to: gateway)
        let inbox = Inbox()
        let control = try await ControlStream.open(on: link) { _, body in inbox.bodies.withLock { $0.append(body) } }
            .get()
        return RawNode(control: control, inbox: inbox)
    }

    static func link(_ scene: Scene, _ credentials: Credentials, to gateway: String) async throws -> LinkConnection {
        let address = try await Endpoint(gateway).resolve()[0]
        return try await Link.connect(
            to: address, tls: try LinkTLS.client(credentials: credentials), on: Scene.loop, timeout: .seconds(10),
            logger: scene.logger, accept: { stream, _ in stream.eventLoop.makeSucceededVoidFuture() }
        ).get()
    }

    /// What has come so far.
    var bodies: [Body] { inbox.bodies.withLock { $0 } }

    func hello(capacity: Resources = .none, addresses: [String] = []) async throws {
        var hello = Lighter_V1_Hello()
        hello.node = Self.node(capacity)
        hello.node.addresses = addresses
        control.send(.hello(hello))
        try await eventually("the gateway says welcome") {
            bodies.contains { if case .welcome = $0 { true } else { false } }
        }
    }

    private static func node(_ capacity: Resources) -> Lighter_V1_NodeMessage {
        var node = Lighter_V1_NodeMessage()
        node.state = "ready"
        node.platform = "linux/amd64"
        node.engineVersion = capacity == .none ? "" : "20.10"
        node.engineApiVersion = capacity == .none ? "" : "1.41"
        node.capacityCpus = capacity.cpus
        node.capacityMemory = capacity.memory.bytes
        node.measures.diskFree = 100 << 30
        node.acceptsWork = true
        return node
    }

    /// Beats as a node of four cores for as long as its link stands.
    func beat() {
        let beats = control.link.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(20)) { _ in
            var heartbeat = Lighter_V1_Heartbeat()
            heartbeat.node = Self.node(Resources(cpus: 4, memory: .gibibytes(4)))
            heartbeat.sentAt = 1
            self.control.send(.heartbeat(heartbeat))
        }
        control.link.closed.whenComplete { _ in beats.cancel() }
    }

    /// The leases that came with acknowledged heartbeats, in seconds.
    var leases: [Double] { bodies.compactMap { if case .heartbeatAck(let ack) = $0 { ack.leaseSeconds } else { nil } } }

    /// The reports that were acknowledged, in that order.
    var acknowledged: [UInt64] { bodies.compactMap { if case .reportAck(let ack) = $0 { ack.sequence } else { nil } } }

    /// Of each heartbeat that was answered, whether a full report was asked for.
    var asked: [Bool] { bodies.compactMap { if case .heartbeatAck(let ack) = $0 { ack.wantFullReport } else { nil } } }

    /// Reports and waits for the acknowledgement.
    func report(_ sequence: UInt64, isFull: Bool = false, _ workloads: [Workload]) async throws {
        var report = Lighter_V1_Report()
        report.sequence = sequence
        report.full = isFull
        report.workloads = workloads.map(Lighter_V1_WorkloadMessage.init)
        control.send(.report(report))
        try await eventually("report \(sequence) is acknowledged") {
            bodies.contains { if case .reportAck(let ack) = $0 { ack.sequence == sequence } else { false } }
        }
    }
}
