import Authority
import Fleet
import NIOCore
import NIOEmbedded
import NIOSSL
import Testing
import Trust

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct JoiningTests {
    private let home: CertificateAuthority
    private let gateway: Credentials
    private let token: JoinToken

    init() throws {
        home = try .create(fleet: "home")
        gateway = try home.credentials(for: PeerIdentity(role: .gateway, tenant: .main))
        token = try home.joinToken()
    }

    /// The first of joining's two connections, against a server with the given credentials.
    private func discover(_ token: JoinToken, at credentials: Credentials) throws -> NIOSSLContext {
        let server = EmbeddedChannel(
            handler: NIOSSLServerHandler(context: try LinkTLS.gatewayServer(credentials: credentials)))
        let client = EmbeddedChannel()
        for channel in [server, client] {
            channel.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
        }
        let found = LinkTLS.joining(token: token, over: client)
        try HandshakePair.exchange(client, server)
        var result: Result<NIOSSLContext, any Error>?
        found.assumeIsolated().whenComplete { result = $0 }
        client.embeddedEventLoop.run()
        #expect(!client.isActive)
        return try #require(result).get()
    }

    @Test("a joiner with the fleet's token reaches the gateway, which sees no certificate")
    func joins() throws {
        let context = try discover(token, at: gateway)
        let pair = try HandshakePair(client: context, server: LinkTLS.gatewayServer(credentials: gateway))
        #expect(pair.isEstablished)
        try PeerIdentity.requireGateway(pair.client.peer())
        #expect(try pair.server.peer() == nil)
    }

    @Test("a token of another fleet does not join this one")
    func otherToken() throws {
        let foreign = try CertificateAuthority.create(fleet: "home").joinToken()
        #expect { try discover(foreign, at: gateway) } throws: {
            ($0 as? TrustError)?.code == .tokenAuthorityMismatch
        }
    }

    @Test("a man in the middle who shows the fleet's authority but has no certificate of it gets nothing")
    func manInTheMiddle() throws {
        let own = try CertificateAuthority.create(fleet: "home").credentials(for: gateway.identity)
        let liar = try HandshakeTests.trusting(home, own)
        let context = try discover(token, at: liar)
        let pair = try HandshakePair(client: context, server: LinkTLS.gatewayServer(credentials: liar))
        #expect(!pair.client.outcome.isEstablished)
        #expect(pair.client.failure(now: Date.now.timeIntervalSince1970)?.code == .unknownAuthority)
    }

    @Test("a node of the fleet in the middle is not taken for its gateway")
    func nodeInTheMiddle() throws {
        let node = try home.credentials(for: PeerIdentity(role: .node(NodeID("mallory")), tenant: .main))
        let context = try discover(token, at: node)
        let pair = try HandshakePair(client: context, server: LinkTLS.gatewayServer(credentials: node))
        #expect { try PeerIdentity.requireGateway(pair.client.peer()) } throws: {
            ($0 as? TrustError)?.code == .wrongPeer
        }
    }

    @Test("the gateway's expired certificate stops a joiner")
    func expired() throws {
        let old = try home.credentials(for: gateway.identity, validFor: .seconds(60), now: .now - 3600)
        let context = try discover(token, at: old)
        let pair = try HandshakePair(client: context, server: LinkTLS.gatewayServer(credentials: old))
        #expect(pair.client.failure(now: Date.now.timeIntervalSince1970)?.code == .expired)
    }

    @Test("something that does not speak TLS is named as such")
    func notTLS() throws {
        let client = EmbeddedChannel()
        client.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
        let found = LinkTLS.joining(token: token, over: client)
        client.embeddedEventLoop.run()
        _ = try? client.writeInbound(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"))
        var code: TrustError.Code?
        found.assumeIsolated().whenFailure { code = ($0 as? TrustError)?.code }
        client.embeddedEventLoop.run()
        #expect(code == .handshake)
    }

    @Test("an address that closes at once is named as such")
    func closes() throws {
        let client = EmbeddedChannel()
        client.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
        let found = LinkTLS.joining(token: token, over: client)
        client.embeddedEventLoop.run()
        client.pipeline.fireChannelInactive()
        var code: TrustError.Code?
        found.assumeIsolated().whenFailure { code = ($0 as? TrustError)?.code }
        client.embeddedEventLoop.run()
        #expect(code == .handshake)
    }
}
