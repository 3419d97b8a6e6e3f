package import NIOSSL

/// TLS as links use it: version 1.3, ALPN `lighter/1`, both ends known by the fleet's authority and never by host name.
///
/// A context vouches that the peer belongs to the fleet. *Which* peer it is, the caller reads with `peerIdentity(of:)`
/// after the handshake and compares (`PeerIdentity.requireGateway`, `PeerIdentity.require(node:)`).
package enum LinkTLS {
    /// The protocol's name in ALPN.
    package static let applicationProtocol = "lighter/1"

    /// Shows this node's certificate and accepts peers of the same fleet. Make the handler with no host name.
    package static func client(credentials: Credentials) throws(TrustError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        try present(credentials, in: &configuration)
        configuration.certificateVerification = .noHostnameVerification
        return try context(trusting: credentials.caPEM, configuration)
    }

    /// Accepts only peers with a certificate of the fleet.
    package static func server(credentials: Credentials) throws(TrustError) -> NIOSSLContext {
        try server(credentials: credentials, verification: .noHostnameVerification)
    }

    /// As `server`, but a peer without a certificate is let in: it may only join. A bad certificate is refused.
    package static func gatewayServer(credentials: Credentials) throws(TrustError) -> NIOSSLContext {
        try server(credentials: credentials, verification: .optionalVerification)
    }

    private static func server(
        credentials: Credentials, verification: CertificateVerification
    ) throws(TrustError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [], privateKey: .privateKey(try privateKey(credentials)))
        try present(credentials, in: &configuration)
        configuration.certificateVerification = verification
        return try context(trusting: credentials.caPEM, configuration)
    }

    /// The chain that is sent ends with the authority's own certificate, so that a node that joins can pin it.
    private static func present(_ credentials: Credentials, in configuration: inout TLSConfiguration) throws(TrustError)
    {
        var chain = try CertificateReader.chain(pem: credentials.certificateChainPEM, what: "this node's certificate")
        for authority in try CertificateReader.chain(pem: credentials.caPEM, what: "the fleet's authority")
        where !chain.contains(authority) {
            chain.append(authority)
        }
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(try privateKey(credentials))
    }

    private static func privateKey(_ credentials: Credentials) throws(TrustError) -> NIOSSLPrivateKey {
        do {
            return try NIOSSLPrivateKey(bytes: Array(credentials.keyPEM.utf8), format: .pem)
        } catch {
            throw TrustError(.malformedKey, "this node's private key cannot be read; join the fleet again")
        }
    }

    static func context(
        trusting authorityPEM: String, _ configuration: TLSConfiguration
    ) throws(TrustError) -> NIOSSLContext {
        try context(
            trusting: CertificateReader.chain(pem: authorityPEM, what: "the fleet's authority"), configuration)
    }

    static func context(
        trusting authorities: [NIOSSLCertificate], _ configuration: TLSConfiguration
    ) throws(TrustError) -> NIOSSLContext {
        var configuration = configuration
        configuration.minimumTLSVersion = .tlsv13
        configuration.maximumTLSVersion = .tlsv13
        configuration.applicationProtocols = [applicationProtocol]
        configuration.trustRoots = .certificates(authorities)
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw TrustError(
                .malformedCertificate, "this node's certificate and key cannot be used; join the fleet again",
                cause: error)
        }
    }

    /// Who the peer is, after the handshake and on the handler's event loop; nil where it showed no certificate.
    ///
    /// - Throws: `malformedIdentity` for a certificate of the fleet that names nobody Lighter knows.
    package static func peerIdentity(of handler: NIOSSLHandler) throws(TrustError) -> PeerIdentity? {
        guard let certificate = handler.peerCertificate else { return nil }
        return try CertificateReader.identity(of: certificate)
    }
}
