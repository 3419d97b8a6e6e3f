package import Authority
package import Fleet
import FoundationEssentials
package import Ledger
import Trust

/// Makes join tokens; the gateway does so for operators, and its own program where no gateway runs.
package enum JoinTokens {
    /// How long a token is good where nobody says.
    package static let defaultLife: Double = 3600
    private static let longestLife: Double = 30 * 86_400

    /// A token that the ledger knows from here on.
    ///
    /// - Parameter seconds: how long it is good; 0 for `defaultLife`.
    /// - Throws: `.invalid` for a time that is none, or more than 30 days; else what the ledger throws.
    package static func make(
        for tenant: TenantID, seconds: Double, authority: CertificateAuthority, ledger: any Ledger
    ) async throws -> (text: String, expiresAt: Double) {
        let life = seconds == 0 ? defaultLife : seconds
        guard life >= 1, life <= longestLife else {
            throw GatewayError(.invalid, "a join token is good for 1 second to 30 days")
        }
        let token = try authority.joinToken()
        let expiresAt = Date().timeIntervalSince1970 + life
        try await ledger.addToken(
            StoredToken(id: token.id, secretHash: token.secretHash, tenant: tenant, expiresAt: expiresAt))
        return (token.text, expiresAt)
    }
}
