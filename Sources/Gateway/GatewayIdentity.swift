import Authority
import Fleet
import FoundationEssentials
import Synchronization
import Trust

/// The gateway's own certificate, made anew from its authority when two thirds of its life are over.
final class GatewayIdentity: Sendable {
    private let authority: CertificateAuthority
    private let current: Mutex<Credentials>

    init(_ authority: CertificateAuthority) throws {
        self.authority = authority
        current = Mutex(try Self.issue(authority))
    }

    /// Credentials that are good for a while yet.
    func credentials() throws -> Credentials {
        try current.withLock { credentials in
            let renewAt = credentials.notBefore + (credentials.expiresAt - credentials.notBefore) * 2 / 3
            if Date().timeIntervalSince1970 > renewAt { credentials = try Self.issue(authority) }
            return credentials
        }
    }

    private static func issue(_ authority: CertificateAuthority) throws -> Credentials {
        try authority.credentials(for: PeerIdentity(role: .gateway, tenant: .main))
    }
}
