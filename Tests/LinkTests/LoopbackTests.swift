import Authority
import Fleet
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Testing
import Trust

@testable import Link

@Suite("Links over loopback, with TLS")
struct LoopbackTests {
    @Test("Both ends know each other, and streams go both ways")
    func identities() async throws {
        let fleet = try Fleetlet()
        let (links, connected) = AsyncStream.makeStream(of: LinkConnection.self)
        let listener = try await fleet.listen(connected: { _ = connected.yield($0) })
        let link = try await fleet.connect(to: listener)
        #expect(link.peer?.isGateway == true)
        #expect(try await link.echo("to the gateway") == "to the gateway")
        #expect(link.rtt != nil)
        for await far in links {
            #expect(far.peer == (try Fleetlet.nodeIdentity))
            #expect(try await far.echo("to the node") == "to the node")
            break
        }
        link.close(nil)
        try await link.closed.get()
        try await listener.close()
    }

    @Test("Tens of megabytes arrive whole in both directions at once, while small streams pass")
    func bulk() async throws {
        let fleet = try Fleetlet()
        let listener = try await fleet.listen()
        let link = try await fleet.connect(to: listener)
        var pattern = Pattern()
        let blocks = (0..<64).map { _ in pattern.next(256 << 10) }
        var sum = Checksum()
        for block in blocks { sum.add(block) }
        let expected = sum
        async let up = link.exchange([ByteBuffer(string: "s")] + blocks)
        async let down = link.exchange([ByteBuffer(string: "b"), ByteBuffer(integer: UInt64(16 << 20))])
        for number in 0..<20 { #expect(try await link.echo("\(number)") == "\(number)") }
        #expect(try await up.getInteger(at: 0, as: UInt32.self) == expected.value)
        var received = Checksum()
        received.add(try await down)
        #expect(received == expected)
        link.close(nil)
        try await listener.close()
    }

    @Test("A link inside a stream of another link is sealed end to end")
    func relayed() async throws {
        let fleet = try Fleetlet()
        let (inner, arrived) = AsyncStream.makeStream(of: LinkConnection.self)
        let node = fleet.node
        let listener = try await fleet.listen { stream, _ in
            stream.eventLoop.makeCompletedFuture {
                _ = Link.attach(
                    to: stream, role: .server, tls: try LinkTLS.server(credentials: node), logger: quiet,
                    accept: StreamService.acceptor
                ).map { arrived.yield($0) }
            }
        }
        let outer = try await fleet.connect(to: listener)
        let stream = try await outer.openStream { $0.eventLoop.makeSucceededVoidFuture() }.get()
        let link = try await Link.attach(
            to: stream, role: .client, tls: try LinkTLS.client(credentials: fleet.gateway), logger: quiet,
            accept: StreamService.acceptor
        ).get()
        #expect(link.peer == (try Fleetlet.nodeIdentity))
        #expect(try await link.echo("twice wrapped") == "twice wrapped")
        let big = String(repeating: "relayed ", count: 1 << 16)
        #expect(try await link.echo(big) == big)
        for await far in inner {
            #expect(far.peer?.isGateway == true)
            #expect(try await far.echo("and back") == "and back")
            break
        }
        link.close(nil)
        try await link.closed.get()
        #expect(outer.isActive)
        outer.close(nil)
        try await listener.close()
    }

    @Test("Where nobody listens, the connection is refused")
    func refused() async throws {
        let fleet = try Fleetlet()
        let listener = try await fleet.listen()
        let address = try #require(listener.localAddress)
        try await listener.close()
        let error = await #expect(throws: LinkError.self) { try await fleet.connect(to: address) }
        #expect(error?.code == .refused)
    }

    @Test("Certificates of another fleet, from the past, or missing are told apart by the one who shows them")
    func certificates() async throws {
        let fleet = try Fleetlet()
        let listener = try await fleet.listen()

        let foreign = try Fleetlet("foreign")
        var mixed = foreign.node
        mixed = try Credentials(
            fleet: mixed.fleet, certificateChainPEM: mixed.certificateChainPEM, keyPEM: mixed.keyPEM,
            caPEM: fleet.node.caPEM, ticketPublicKey: mixed.ticketPublicKey)
        #expect(try await fleet.refusal(from: listener, tls: LinkTLS.client(credentials: mixed)) == .unknownAuthority)
        #expect(
            try await fleet.refusal(from: listener, tls: LinkTLS.client(credentials: foreign.node)) == .unknownAuthority
        )

        let old = try fleet.authority.credentials(
            for: Fleetlet.nodeIdentity, validFor: .seconds(60), now: Date(timeIntervalSinceNow: -86_400))
        #expect(try await fleet.refusal(from: listener, tls: LinkTLS.client(credentials: old)) == .certificateExpired)

        var bare = TLSConfiguration.makeClientConfiguration()
        bare.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(fleet.node.caPEM.utf8)))
        bare.certificateVerification = .noHostnameVerification
        bare.applicationProtocols = [LinkTLS.applicationProtocol]
        #expect(await fleet.refusal(from: listener, tls: try NIOSSLContext(configuration: bare)) == .noCertificate)
        #expect(try await fleet.connect(to: listener).isActive)
        try await listener.close()
    }

    @Test("What speaks something else is not a Lighter peer")
    func foreignProtocol() async throws {
        let fleet = try Fleetlet()
        let web = try await listenPlain("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        #expect(await fleet.refusal(from: web) == .notALighterPeer)
        try await web.close()

        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(fleet.gateway.certificateChainPEM.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(fleet.gateway.keyPEM.utf8), format: .pem)))
        configuration.applicationProtocols = ["h2"]
        let context = try NIOSSLContext(configuration: configuration)
        let other = try await ServerBootstrap(group: fleet.loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        #expect(await fleet.refusal(from: other) == .notALighterPeer)
        try await other.close()
    }

    @Test("A server that accepts and says nothing is given up after the handshake's time limit")
    func silentServer() async throws {
        let fleet = try Fleetlet()
        let mute = try await listenPlain(nil)
        let address = try #require(mute.localAddress)
        var configuration = LinkConfiguration()
        configuration.handshakeTimeout = .milliseconds(50)
        let hasty = configuration
        let error = await #expect(throws: LinkError.self) {
            try await Link.connect(
                to: address, tls: LinkTLS.client(credentials: fleet.node), on: fleet.loop, timeout: .seconds(1),
                configuration: hasty, logger: quiet, accept: StreamService.acceptor
            ).get()
        }
        #expect(error?.code == .timedOut)
        try await mute.close()
    }

    @Test("Silence and garbage at the door are closed, however many there are, and links still get in")
    func door() async throws {
        let fleet = try Fleetlet()
        var configuration = LinkConfiguration()
        configuration.handshakeTimeout = .milliseconds(100)
        configuration.handshakes = 4
        let listener = try await fleet.listen(configuration)
        let address = try #require(listener.localAddress)
        var strangers: [any Channel] = []
        for number in 0..<12 {
            let stranger = try await ClientBootstrap(group: fleet.loop).connect(to: address).get()
            if number % 2 == 0 { stranger.writeAndFlush(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"), promise: nil) }
            strangers.append(stranger)
        }
        for stranger in strangers { try await stranger.closeFuture.get() }
        // On a busy machine a handshake may take longer than this door allows.
        var link: LinkConnection?
        for _ in 0..<100 where link == nil { link = try? await fleet.connect(to: listener) }
        #expect(try await link?.echo("members only") == "members only")
        link?.close(nil)
        try await listener.close()
    }

    @Test("When the peer's connection breaks, streams and link end with the reason")
    func broken() async throws {
        let fleet = try Fleetlet()
        let (links, connected) = AsyncStream.makeStream(of: LinkConnection.self)
        let listener = try await fleet.listen(connected: { _ = connected.yield($0) })
        let link = try await fleet.connect(to: listener)
        let answer = link.eventLoop.makeFutureWithTask {
            try await link.exchange([ByteBuffer(string: "b"), ByteBuffer(integer: UInt64.max)])
        }
        for await far in links {
            far.close(LinkError(.closed, "shutting down"))
            break
        }
        let error = await #expect(throws: LinkError.self) { try await link.closed.get() }
        #expect(error?.code == .peerWentAway)
        await #expect(throws: LinkError.self) { try await answer.get() }
        try await listener.close()
    }
}
