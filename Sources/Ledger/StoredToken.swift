package import Fleet

/// What the ledger keeps of a join token: enough to check it, not enough to use it.
package struct StoredToken: Sendable, Hashable, Codable {
    package var id: String
    /// SHA-256 of the token's secret.
    package var secretHash: [UInt8]
    package var tenant: TenantID
    /// Seconds since 1970.
    package var expiresAt: Double
    /// Whether it makes an operator rather than a node.
    package var isOperator: Bool

    package init(id: String, secretHash: [UInt8], tenant: TenantID, expiresAt: Double, isOperator: Bool = false) {
        self.id = id
        self.secretHash = secretHash
        self.tenant = tenant
        self.expiresAt = expiresAt
        self.isOperator = isOperator
    }
}

/// What came of redeeming a token.
package enum TokenOutcome: Sendable, Hashable {
    case redeemed(StoredToken)
    /// No token has this id: another fleet's, or one forgotten a month after it expired.
    case unknown
    case wrongSecret
    /// `by` is the node's name, empty for an operator; `at` is in seconds since 1970.
    case used(by: String, at: Double)
    case expired(at: Double)
    /// The token is still good: with another name it would have been redeemed.
    case nameTaken(NodeID)
}
