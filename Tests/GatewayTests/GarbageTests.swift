import Authority
import Fleet
import Link
import NIOCore
import NIOPosix
import Session
import Testing
import Trust
import Wire

@Suite(.timeLimit(.minutes(2)))
struct GarbageTests {
    /// Runs `body` beside two nodes that must not notice, then checks that they did not.
    private func undisturbed(
        _ body: @escaping @Sendable (Scene, String) async throws -> Void
    ) async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let link = try await edge.link(to: cloud.node)
                    try await body(scene, gateway)
                    #expect(link.isActive)
                    #expect(edge.isConnected && cloud.isConnected)
                    let answer = try await Gather.exchange(ByteBuffer(string: "still here"), on: link)
                    #expect(String(buffer: answer) == "test of node edge:still here")
                    edge.report(try .sample(at: "edge"))
                    try await eventually("a report is acknowledged") { edge.isSettled }
                }
            }
        }
    }

    @Test("A peer that speaks no TLS is dropped, and others do not notice")
    func noTLS() async throws {
        try await undisturbed { _, gateway in
            for bytes in ["GET / HTTP/1.1\r\n\r\n", String(repeating: "\0", count: 70_000), "\u{16}\u{3}\u{1}\u{ff}"] {
                let address = try await Endpoint(gateway).resolve()[0]
                let channel = try await ClientBootstrap(group: Scene.loop).connect(to: address).get()
                channel.writeAndFlush(ByteBuffer(string: bytes), promise: nil)
                if bytes.count > 4 { try await channel.closeFuture.get() } else { try await channel.close() }
            }
        }
    }

    @Test(
        "A member that sends malformed control messages loses its link, and others do not notice",
        arguments: [[UInt8](repeating: 0xff, count: 64), [3, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f, 0]])
    func malformedControl(bytes: [UInt8]) async throws {
        try await undisturbed { scene, gateway in
            let credentials = try scene.authority.credentials(
                for: PeerIdentity(role: .node(try NodeID("mallory")), tenant: .main))
            let link = try await RawNode.link(scene, credentials, to: gateway)
            var open = Lighter_V1_StreamOpen()
            open.control = .init()
            let channel = try await link.openStream(announcing: open) { $0.eventLoop.makeSucceededVoidFuture() }.get()
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            await #expect(throws: LinkError.self) { try await link.closed.get() }
        }
    }

    @Test("Messages of a later version are passed over, and requests that cannot be read are answered with a failure")
    func unknownMessages() async throws {
        try await undisturbed { scene, gateway in
            let raw = try await RawNode.connect(scene, "strange", to: gateway)
            try await raw.hello()
            raw.control.send(.listNodesReply(.init()))
            raw.control.send(.joinReply(.init()))
            let empty = await #expect(throws: SessionError.self) {
                _ = try await raw.control.request(.placeRequest(.init()), timeout: .seconds(10))
            }
            #expect(empty?.code == .invalid)
            let foreign = await #expect(throws: SessionError.self) {
                _ = try await raw.control.request(.tokenRequest(.init()), timeout: .seconds(10))
            }
            #expect(foreign?.code == .invalid)
            try await raw.report(1, [try .sample(at: "strange")])
            raw.control.link.close(nil)
        }
    }

    @Test("A peer that never opens its control stream, or opens two, gets nowhere")
    func strayStreams() async throws {
        try await undisturbed { scene, gateway in
            let raw = try await RawNode.connect(scene, "twice", to: gateway)
            try await raw.hello()
            for kind in [Lighter_V1_StreamOpen.OneOf_Kind.control(.init()), .docker(.init()), .relayed(.init())] {
                var open = Lighter_V1_StreamOpen()
                open.kind = kind
                let channel = try await raw.control.link.openStream(announcing: open) {
                    // The gateway's end of the stream ends this one.
                    $0.setOption(.allowRemoteHalfClosure, value: false)
                }.get()
                try await channel.closeFuture.get()
            }
            #expect(raw.control.link.isActive)
            raw.control.link.close(nil)
        }
    }
}
