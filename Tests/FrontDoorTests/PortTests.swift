import DockerAPI
import Engine
import Fleet
import LighterTesting
import Link
import NIOCore
import NIOPosix
import Testing

@testable import FrontDoor

/// Ports of the device that lead to containers elsewhere.
@Suite("Published ports", .timeLimit(.minutes(1)))
struct PortTests {
    /// A container elsewhere with one published port, and the engine behind the link: it is the container's port, too.
    private func with(
        _ port: PublishedPort, _ body: @escaping @Sendable (Rig, RawEngine) async throws -> Void
    ) async throws {
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { _ in .json([]) }
            try await here.start()
            let there = try await RawEngine(path: rig.folder.file("cloud.sock"))
            let node = try await rig.addNode(enginePath: rig.folder.file("cloud.sock"), route: "web")
            try await rig.publish(port)
            try await body(rig, there)
            await node.stop()
            await here.stop()
        }
    }

    /// Starts the container; where its port is then.
    private func start(_ rig: Rig, _ engine: RawEngine) async throws -> UInt16 {
        async let answer = rig.post("/containers/web/start")
        try await respond(engine, to: "POST ", "HTTP/1.1 204 No Content\r\n\r\n")
        #expect(try await answer.head.hasPrefix("HTTP/1.1 204 "))
        return try #require(await rig.routes.named("web")?.ports.first?.bindings.first?.port)
    }

    private func respond(_ engine: RawEngine, to kind: String, _ bytes: String) async throws {
        while true {
            let (backend, head) = try await engine.call()
            guard head.hasPrefix(kind) else { continue }
            return try await backend.send(bytes)
        }
    }

    private func connect(_ port: UInt16) async throws -> Peer {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: Int(port)) { channel in
                channel.eventLoop.makeCompletedFuture { try Peer.adopt(channel) }
            }
    }

    private static let anywhere = PublishedPort(containerPort: 80, isUDP: false, hostAddress: "127.0.0.1")

    @Test("Bytes pass both ways, and the client's end is not the answer's")
    func bytes() async throws {
        try await with(Self.anywhere) { rig, engine in
            let client = try await connect(try await start(rig, engine))
            try await client.send("GET / HTTP/1.0\r\n\r\nmore")
            try await client.finish()
            while true {
                let (server, head) = try await engine.call()
                guard head.hasPrefix("GET / ") else { continue }
                #expect(String(buffer: try await server.receiveToEnd()) == "more")
                try await server.send("answer")
                await server.close()
                break
            }
            #expect(String(buffer: try await client.receiveToEnd()) == "answer")
            try await client.closed()
        }
    }

    @Test("A server that writes much and closes is heard to its last byte by a client that reads late")
    func lastByte() async throws {
        let output = ByteBuffer(bytes: (0..<(4 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8)) })
        try await with(Self.anywhere) { rig, engine in
            let client = try await connect(try await start(rig, engine))
            try await client.setReading(false)
            try await client.send("GET / HTTP/1.0\r\n\r\n")
            while true {
                let (server, head) = try await engine.call()
                guard head.hasPrefix("GET / ") else { continue }
                async let sent: Void = {
                    try await server.send(output)
                    await server.close()
                }()
                _ = try await rig.get("/_ping")
                try await client.setReading(true)
                #expect(try await client.receiveToEnd() == output)
                try await sent
                break
            }
        }
    }

    @Test("A port that is taken fails the start as an engine does, and the node is not asked to start anything")
    func taken() async throws {
        let other = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let number = UInt16(try #require(other.localAddress?.port))
        var port = Self.anywhere
        port.hostPorts = "\(number)"
        try await with(port) { rig, _ in
            let answer = try await rig.post("/containers/web/start")
            #expect(answer.head.hasPrefix("HTTP/1.1 500 "))
            #expect(answer.body.contains("driver failed programming external connectivity on endpoint web"))
            #expect(answer.body.contains("127.0.0.1:\(number)") && answer.body.contains("address already in use"))
        }
        try await other.close()
    }

    @Test("A start that its node refuses leaves no port open, and so does a container's end")
    func closes() async throws {
        try await with(Self.anywhere) { rig, engine in
            async let answer = rig.post("/containers/web/start")
            try await respond(
                engine, to: "POST ", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}")
            #expect(try await answer.head.hasPrefix("HTTP/1.1 500 "))
            let refused = try #require(await rig.routes.named("web")?.ports.first?.bindings.first?.port)
            await #expect(throws: (any Error).self) { try await connect(refused) }

            let port = try await start(rig, engine)
            #expect(port == refused, "the port that it had is tried first")
            await (try await connect(port)).close()
            async let ended = rig.post("/containers/web/wait")
            let body = #"{"Error":null,"StatusCode":3}"#
            try await respond(
                engine, to: "POST /containers/\(Rig.cloud)/wait",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\n\(body)\r\n0\r\n\r\n")
            #expect(try await ended.body.contains(body))
            await #expect(throws: (any Error).self, "closed before anybody heard of the end") {
                try await connect(port)
            }
        }
    }

    @Test("Datagrams keep their bounds, each client has a flow of its own")
    func datagrams() async throws {
        let port = PublishedPort(containerPort: 53, isUDP: true, hostAddress: "127.0.0.1")
        try await with(port) { rig, engine in
            let number = try await start(rig, engine)
            for text in ["GET one", "GET two"] {
                let client = try await Datagrams.bound()
                try await client.send(text + "\r\n\r\n", to: number)
                // The node here is none that knows of ports: what comes is the stream as it is.
                let framed = "\u{0}\u{b}\(text)\r\n\r\n"
                while true {
                    let (server, head) = try await engine.call()
                    guard head == framed else { continue }
                    try await server.send("\u{0}\u{1}a\u{0}\u{2}b")
                    try await server.send("c\u{0}\u{0}")
                    break
                }
                #expect(try await client.receive() == "a")
                #expect(try await client.receive() == "bc")
                #expect(try await client.receive() == "")
                try await client.channel.close()
            }
        }
    }

    @Test("Datagrams of any length pass whole", arguments: [4096, 9000, 60_000, 65_507])
    func longDatagrams(length: Int) async throws {
        let port = PublishedPort(containerPort: 53, isUDP: true, hostAddress: "127.0.0.1")
        try await with(port) { rig, engine in
            let number = try await start(rig, engine)
            let client = try await Datagrams.bound()
            let text = "x".repeated(length - 4) + "\r\n\r\n"
            try await client.send(text, to: number)
            while true {
                let (server, head) = try await engine.call()
                guard head.hasSuffix("xxx\r\n\r\n") else { continue }
                #expect(head.hasSuffix(text))
                let answer = "y".repeated(length)
                try await server.send(#require(ByteBuffer(string: answer).asDatagram))
                #expect(try await client.receive() == answer)
                break
            }
            try await client.channel.close()
        }
    }

    @Test(
        "What a port may be on the device",
        arguments: [
            ("", nil), ("0", nil), ("8080", 8080...8080), ("8000-8010", 8000...8010), ("9-8", nil), ("x", nil),
            ("70000", nil), ("-1", nil), ("80-", nil),
        ] as [(String, ClosedRange<UInt16>?)])
    func ranges(text: String, range: ClosedRange<UInt16>?) {
        #expect(HostOptions.portRange(text) == range)
    }

    @Test("A port survives being written down")
    func json() throws {
        var port = PublishedPort(containerPort: 80, isUDP: true, hostAddress: "::1", hostPorts: "8000-8010")
        port.bindings = [.init(address: "::1", port: 8003)]
        port.isByExposure = true
        #expect(PublishedPort(json: try JSON.parse(Array(port.json.text.utf8))) == port)
    }

    @Test("Lists and inspections show the device's ports, and what is only exposed stays")
    func shown() throws {
        let presentation = Presentation(origin: try NodeID("edge1"))
        var port = PublishedPort(containerPort: 80, isUDP: false, hostPorts: "8080")
        port.bindings = [.init(address: "0.0.0.0", port: 8080), .init(address: "::", port: 8080)]
        let listed: JSON = [
            "Ports": [["PrivatePort": 80, "Type": "tcp"], ["PrivatePort": 443, "Type": "tcp"]]
        ]
        let ports = presentation.listed(listed, publishing: [port])["Ports"]?.arrayValue ?? []
        #expect(ports.map { $0["PublicPort"]?.intValue } == [nil, 8080, 8080])
        #expect(Presentation.publishes(["Ports": .array(ports)], "8000-8100"))
        #expect(!Presentation.publishes(["Ports": .array(ports)], "8080/udp"))
        #expect(!Presentation.publishes(["Ports": .array(ports)], "443"))
    }
}

/// A UDP socket and what it receives.
private struct Datagrams {
    let channel: any Channel
    private let received: AsyncStream<String>

    static func bound() async throws -> Datagrams {
        let (received, inlet) = AsyncStream<String>.makeStream()
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator.datagrams)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Inlet(inlet))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Datagrams(channel: channel, received: received)
    }

    func send(_ text: String, to port: UInt16) async throws {
        let remote = try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
        try await channel.writeAndFlush(AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(string: text)))
    }

    func receive() async throws -> String {
        for await text in received { return text }
        throw ChannelError.eof
    }

    private final class Inlet: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        private let inlet: AsyncStream<String>.Continuation
        init(_ inlet: AsyncStream<String>.Continuation) { self.inlet = inlet }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            inlet.yield(String(buffer: unwrapInboundIn(data).data))
        }
    }
}
