import Authority
import Fleet
import FoundationEssentials
import Link
import Logging
import NIOCore
import NIOSSL
import Session
import Synchronization
import Trust

/// The gateway's own certificate, made anew from its authority when two thirds of its life are over.
final class GatewayIdentity: Sendable {
    private let authority: CertificateAuthority
    private let current: Mutex<(credentials: Credentials, tls: NIOSSLContext)>

    init(_ authority: CertificateAuthority) throws {
        self.authority = authority
        current = Mutex(try Self.issue(authority))
    }

    /// For the next connection, with a certificate that is good for a while yet. Made once for each certificate: reading keys
    /// and certificates anew would cost as much as a handshake.
    private func tls() throws -> NIOSSLContext {
        try current.withLock { current in
            let (begin, end) = (current.credentials.notBefore, current.credentials.expiresAt)
            if Date().timeIntervalSince1970 > begin + (end - begin) * 2 / 3 { current = try Self.issue(authority) }
            return current.tls
        }
    }

    /// Listens where the configuration says, under this identity.
    /// - Returns: the listener, and its address with the port that was chosen where the configuration has 0.
    func listen(
        _ configuration: GatewayConfiguration, _ group: any EventLoopGroup, _ logger: Logger,
        accept: @escaping StreamAcceptor, connected: @escaping @Sendable (LinkConnection) -> Void
    ) async throws(GatewayError) -> (any Channel, SocketAddress) {
        do {
            let channel = try await Link.listen(
                on: configuration.host, port: configuration.port,
                tls: { try self.tls() }, group: group,
                configuration: configuration.link, logger: logger, accept: accept, connected: connected
            ).get()
            guard let address = channel.localAddress else {
                throw GatewayError(.internal, "the listener has no address")
            }
            return (channel, address)
        } catch let error as GatewayError {
            throw error
        } catch {
            let address = Endpoint(host: configuration.host, port: configuration.port)
            throw GatewayError(
                .unavailable, "\(address) cannot be listened on; is another gateway running there?", cause: error)
        }
    }

    private static func issue(_ authority: CertificateAuthority) throws -> (Credentials, NIOSSLContext) {
        let credentials = try authority.credentials(for: PeerIdentity(role: .gateway, tenant: .main))
        return (credentials, try LinkTLS.gatewayServer(credentials: credentials))
    }
}
