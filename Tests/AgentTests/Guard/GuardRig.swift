import DockerAPI
import Engine
import Fleet
import Logging
import NIOCore
import NIOPosix
import Trust
import Wire

@testable import Agent

#if canImport(FoundationEssentials)
    import FoundationEssentials
#endif

#if canImport(Glibc)
    import Glibc
#endif

/// A guard before an engine, with clients that are nodes of the fleet.
@NodeLoop
final class GuardRig {
    static let now: Double = 1_800_000_000
    let node: NodeID
    let origin: NodeID
    let workload = WorkloadID.random()
    let signer = TicketSigner()
    let desk: Guard
    let inventory: Inventory
    private(set) var reports: Reports
    private let path: String
    private var server: (any Channel)?
    private let box: CallBox

    /// What the control plane was told.
    final class Reports: Sendable {
        private let all = SharedList<Workload>()
        private let stream = AsyncStream.makeStream(of: Workload.self)
        func add(_ workload: Workload) {
            all.append(workload)
            stream.continuation.yield(workload)
        }
        var list: [Workload] { all.elements }
        /// Returns the workload's first report in this state, once it has come. One caller only.
        func first(_ state: WorkloadState, of workload: WorkloadID) async -> Workload? {
            await stream.stream.first { $0.state == state && $0.id == workload }
        }
    }

    /// Who the next stream's peer is, and what its opening message says.
    final class CallBox: Sendable {
        private let value = SharedList<(Lighter_V1_StreamOpen.OneOf_Kind, PeerIdentity)>()
        func put(_ kind: Lighter_V1_StreamOpen.OneOf_Kind, _ peer: PeerIdentity) { value.append((kind, peer)) }
        func take() -> (Lighter_V1_StreamOpen.OneOf_Kind, PeerIdentity)? { value.popFirst() }
    }

    init(
        node name: String = "cloud1", engine socket: String, policy: GuardPolicy = GuardPolicy(),
        headroom: Headroom = Headroom(),
        free: Headroom.Free = Headroom.Free(), now: Double = GuardRig.now,
        configure: (inout GuardConfiguration) -> Void = { _ in }
    ) async throws {
        node = try NodeID(name)
        origin = try NodeID("edge1")
        let dialer = UnixDialer(path: socket)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let reports = Reports()
        self.reports = reports
        inventory = Inventory(
            node: node, client: DockerClient(dialer: dialer), exits: ExitWatch(loop: NodeLoop.shared.loop),
            logger: logger,
            report: { reports.add($0) })
        var configuration = GuardConfiguration(node: node, tenant: .main, policy: policy, headroom: headroom)
        configure(&configuration)
        let desk = Guard(
            configuration: configuration,
            verifier: try TicketVerifier(publicKey: signer.publicKey), dialer: dialer, inventory: inventory,
            logger: logger,
            free: { free }, now: { now })
        self.desk = desk
        path = "/tmp/lighter-guard-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let box = CallBox()
        self.box = box
        server = try await ServerBootstrap(group: NodeLoop.shared.loop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                guard let (kind, peer) = box.take() else { return channel.close() }
                return desk.accept(stream: channel, kind: kind, peer: peer)
            }
            .bind(unixDomainSocketPath: path).get()
    }

    func stop() async {
        try? await server?.close().get()
        unlink(path)
    }

    func ticket(
        workload: WorkloadID? = nil, tenant: TenantID = .main, origin: NodeID? = nil, target: NodeID? = nil,
        epoch: UInt64 = 3, expiresAt: Double = GuardRig.now + 600, signer: TicketSigner? = nil
    ) throws -> [UInt8] {
        try (signer ?? self.signer).sign(
            Ticket(
                workload: workload ?? self.workload, tenant: tenant, origin: origin ?? self.origin,
                target: target ?? node,
                epoch: epoch, notBefore: expiresAt - 1200, expiresAt: expiresAt))
    }

    /// A stream of a peer; the origin's unless told otherwise.
    func connect(ticket: [UInt8] = [], peer: PeerIdentity? = nil) async throws -> GuardClient {
        var call = Lighter_V1_DockerCall()
        call.ticket = Data(ticket)
        return try await connect(.docker(call), peer: peer)
    }

    func connect(_ kind: Lighter_V1_StreamOpen.OneOf_Kind, peer: PeerIdentity? = nil) async throws -> GuardClient {
        box.put(kind, peer ?? PeerIdentity(role: .node(origin), tenant: .main))
        let client = GuardClient()
        client.channel = try await ClientBootstrap(group: NodeLoop.shared.loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ChannelSideHandler(client))
                }
            }
            .connect(unixDomainSocketPath: path).get()
        return client
    }

    /// Dials this guard as the guard of another node would.
    func dialer(as peer: NodeID) -> any DockerDialer { PeerDialer(box: box, path: path, peer: peer) }

    private struct PeerDialer: DockerDialer {
        let box: CallBox
        let path: String
        let peer: NodeID

        func dial(
            on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
        ) -> EventLoopFuture<any Channel> {
            box.put(.docker(Lighter_V1_DockerCall()), PeerIdentity(role: .node(peer), tenant: .main))
            return UnixDialer(path: path).dial(on: loop, initializer)
        }
    }

    /// A container of the rig's workload, as the engine's inspect shows it.
    func inspection(
        id: String, name: String = "web.edge1", workload: WorkloadID? = nil, epoch: UInt64 = 3,
        origin: String = "edge1",
        status: String = "created"
    ) -> JSON {
        [
            "Id": .string(id), "Name": .string("/" + name), "Created": "2026-01-02T03:04:05.5Z",
            "State": ["Status": .string(status), "Pid": 0, "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z"],
            "HostConfig": ["NanoCpus": 500_000_000, "Memory": 1_048_576],
            "Config": [
                "Labels": [
                    "io.lighter.workload": .string((workload ?? self.workload).hex),
                    "io.lighter.epoch": .string("\(epoch)"),
                    "io.lighter.origin": .string(origin), "io.lighter.tenant": "main", "io.lighter.target": "cloud1",
                    "io.lighter.name": "web", "io.lighter.image": "busybox",
                ]
            ],
        ]
    }

    /// Puts a container of the rig's workload into the inventory.
    func know(_ id: String, workload: WorkloadID? = nil, epoch: UInt64 = 3, name: String = "web.edge1") {
        if let record = EngineReading.record(inspect: inspection(id: id, name: name, workload: workload, epoch: epoch))
        {
            inventory.learn(record)
        }
    }
}

/// The other end of a stream: what it got, and waiting for more.
@NodeLoop
final class GuardClient: ChannelSide {
    var channel: (any Channel)?
    private(set) var bytes = ByteBuffer()
    private(set) var isEnded = false
    private var waiters: [(until: @NodeLoop (GuardClient) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    var text: String { String(buffer: bytes) }

    func channelActive() {}

    func received(_ more: ByteBuffer) {
        bytes.writeImmutableBuffer(more)
        wake()
    }

    func readComplete() {}
    func writabilityChanged() {}

    func inputClosed() {
        isEnded = true
        wake()
    }

    func channelInactive() { inputClosed() }

    private func wake() {
        for waiter in waiters where waiter.until(self) { waiter.continuation.resume() }
        waiters.removeAll { $0.until(self) }
    }

    private func wait(until: @escaping @NodeLoop (GuardClient) -> Bool) async {
        if until(self) { return }
        await withCheckedContinuation { waiters.append((until, $0)) }
    }

    func send(_ text: String) { channel?.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    func send(_ bytes: ByteBuffer) async throws { try await channel?.writeAndFlush(bytes).get() }

    func halfClose() async { try? await channel?.close(mode: .output).get() }

    func close() async { try? await channel?.close().get() }

    /// Returns when the text has come, or the stream has ended.
    func wait(for text: String) async { await wait { $0.isEnded || $0.text.contains(text) } }

    func waitForEnd() async { await wait { $0.isEnded } }

    func waitForBytes(_ count: Int) async { await wait { $0.isEnded || $0.bytes.readableBytes >= count } }

    struct Response: Sendable {
        var head: ResponseHead
        var data: ByteBuffer
        var body: String { String(buffer: data) }
        var status: Int { head.status }
        var json: JSON? { try? JSON.parse(Array(body.utf8)) }
        var message: String { json?["message"]?.stringValue ?? "" }
    }

    /// Takes the next whole response; nil when the stream ends before.
    func response(method: String = "GET") async throws -> Response? {
        while true {
            var attempt = bytes
            var parser = HeadParser<ResponseHead>()
            if let head = try parser.parse(&attempt) {
                var body = ByteBuffer()
                var reader = BodyReader(head.framing(forMethod: method))
                while let part = try reader.next(&attempt) {
                    if let payload = part.payload { body.writeImmutableBuffer(payload) }
                }
                if reader.isComplete {
                    bytes = attempt
                    return Response(head: head, data: body)
                }
            }
            if isEnded { return nil }
            let count = bytes.readableBytes
            await wait { $0.isEnded || $0.bytes.readableBytes > count }
        }
    }

    /// One request without a body, and its response.
    func call(_ method: String, _ target: String, _ headers: String = "", body: String = "") async throws -> Response? {
        let length = body.isEmpty ? "" : "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
        send("\(method) \(target) HTTP/1.1\r\nHost: docker\r\n\(length)\(headers)\r\n\(body)")
        return try await response(method: method)
    }
}
