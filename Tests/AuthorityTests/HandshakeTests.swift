import Authority
import Fleet
import NIOSSL
import Testing
import Trust

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct HandshakeTests {
    private let now = Date.now
    private let home: CertificateAuthority
    private let other: CertificateAuthority
    private let gateway: Credentials
    private let edge: Credentials

    init() throws {
        home = try .create(fleet: "home")
        other = try .create(fleet: "other")
        gateway = try home.credentials(for: PeerIdentity(role: .gateway, tenant: .main))
        edge = try home.credentials(for: PeerIdentity(role: .node(NodeID("edge1")), tenant: TenantID("acme")))
    }

    private func node(_ authority: CertificateAuthority, validFor: Duration, from: Date) throws -> Credentials {
        try authority.credentials(
            for: PeerIdentity(role: .node(NodeID("edge2")), tenant: .main), validFor: validFor, now: from)
    }

    private var seconds: Double { now.timeIntervalSince1970 }

    @Test("members of one fleet know each other's role and tenant over TLS 1.3")
    func good() throws {
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: edge), server: LinkTLS.server(credentials: gateway))
        #expect(pair.isEstablished)
        #expect(try pair.client.peer() == gateway.identity)
        #expect(try pair.server.peer() == edge.identity)
        #expect(pair.client.handler.tlsVersion == .tlsv13)
    }

    @Test("a member's expired certificate is refused, and both ends say so and point at the clock")
    func expiredClient() throws {
        let old = try node(home, validFor: .seconds(3600), from: now - 3 * 3600 - 10)
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: old), server: LinkTLS.gatewayServer(credentials: gateway))
        #expect(!pair.server.outcome.isEstablished)
        let seen = try #require(pair.server.failure(now: seconds))
        #expect(seen.code == .expired)
        #expect(seen.message.contains("node edge2 expired 2 hours ago; is the clock right?"))
        let told = try #require(pair.client.failure(old, now: seconds))
        #expect(told.code == .expired)
        #expect(told.message.contains("2 hours ago"))
    }

    @Test("a gateway's expired certificate is refused by the node")
    func expiredServer() throws {
        let old = try home.credentials(
            for: gateway.identity, validFor: .seconds(60), now: now - 3700)
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: edge), server: LinkTLS.server(credentials: old))
        let seen = try #require(pair.client.failure(now: seconds))
        #expect(seen.code == .expired)
        #expect(seen.message.contains("the gateway expired 1 hour ago"))
    }

    @Test("a certificate of the future points at the clock")
    func future() throws {
        let early = try node(home, validFor: .seconds(3600), from: now + 86_400 + 400)
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: edge), server: LinkTLS.server(credentials: early))
        let seen = try #require(pair.client.failure(now: seconds))
        #expect(seen.code == .notYetValid)
        #expect(seen.message.contains("is the clock right?"))
    }

    @Test("a clock that is four minutes behind does no harm")
    func skewed() throws {
        #expect(edge.notBefore < seconds - 240)
    }

    @Test("a node of another fleet is refused, and told that it belongs to another")
    func otherClient() throws {
        let stranger = try node(other, validFor: .seconds(3600), from: now)
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: Self.trusting(home, stranger)),
            server: LinkTLS.gatewayServer(credentials: gateway))
        #expect(!pair.server.outcome.isEstablished)
        #expect(pair.server.failure(now: seconds)?.code == .unknownAuthority)
        let told = try #require(pair.client.failure(stranger, now: seconds))
        #expect(told.code == .unknownAuthority)
        #expect(told.message.contains("belongs to another fleet"))
    }

    @Test("a gateway of another fleet is refused by the node")
    func otherServer() throws {
        let stranger = try other.credentials(for: gateway.identity)
        let pair = try HandshakePair(
            client: LinkTLS.client(credentials: edge), server: LinkTLS.server(credentials: stranger))
        #expect(!pair.client.outcome.isEstablished)
        let seen = try #require(pair.client.failure(now: seconds))
        #expect(seen.code == .unknownAuthority)
        #expect(seen.message.contains("belongs to another fleet"))
    }

    @Test("a node's server wants a certificate; the gateway's lets a peer without one in, as nobody")
    func noCertificate() throws {
        let bare = try Self.withoutCertificate(trusting: home)
        let refused = try HandshakePair(client: bare, server: LinkTLS.server(credentials: edge))
        #expect(!refused.server.outcome.isEstablished)
        #expect(refused.server.failure(now: seconds)?.code == .noCertificate)
        #expect(refused.client.failure(now: seconds)?.code == .noCertificate)

        let joiner = try HandshakePair(client: bare, server: LinkTLS.gatewayServer(credentials: gateway))
        #expect(joiner.isEstablished)
        #expect(try joiner.server.peer() == nil)
    }

    @Test("TLS 1.2 is not spoken")
    func oldVersion() throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.maximumTLSVersion = .tlsv12
        configuration.certificateVerification = .none
        let pair = try HandshakePair(
            client: NIOSSLContext(configuration: configuration), server: LinkTLS.gatewayServer(credentials: gateway))
        #expect(!pair.server.outcome.isEstablished)
        #expect(pair.server.failure(now: seconds)?.code == .handshake)
    }

    /// The stranger's certificate and key, but our authority's certificate: what anyone can put together.
    static func trusting(_ authority: CertificateAuthority, _ stranger: Credentials) throws -> Credentials {
        try Credentials(
            fleet: authority.fleet, certificateChainPEM: stranger.certificateChainPEM, keyPEM: stranger.keyPEM,
            caPEM: authority.certificatePEM, ticketPublicKey: stranger.ticketPublicKey)
    }

    static func withoutCertificate(trusting authority: CertificateAuthority) throws -> NIOSSLContext {
        let certificate = try NIOSSLCertificate.fromPEMBytes(Array(authority.certificatePEM.utf8))
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(certificate)
        configuration.certificateVerification = .noHostnameVerification
        configuration.applicationProtocols = [LinkTLS.applicationProtocol]
        return try NIOSSLContext(configuration: configuration)
    }
}
