package import Fleet
import NIOSSL

/// Everything by which a node, an operator or the gateway proves itself to its fleet, and knows the fleet.
package struct Credentials: Sendable {
    /// The fleet's name.
    package var fleet: String
    /// What the certificate says; `init` checks that it does.
    package let identity: PeerIdentity
    /// The leaf first.
    package let certificateChainPEM: String
    /// PKCS#8: a secret.
    package let keyPEM: String
    package let caPEM: String
    /// The gateway's Ed25519 key for tickets, 32 bytes.
    package let ticketPublicKey: [UInt8]

    /// Seconds since 1970 between which the leaf is valid.
    package let notBefore: Double
    package let expiresAt: Double

    /// - Throws: `malformedCertificate`, `malformedIdentity` or `malformedKey` when a part cannot be read, or when key
    ///   and certificate do not belong together.
    package init(
        fleet: String, certificateChainPEM: String, keyPEM: String, caPEM: String, ticketPublicKey: [UInt8]
    ) throws(TrustError) {
        let leaf = try CertificateReader.chain(pem: certificateChainPEM, what: "this node's certificate")[0]
        _ = try CertificateReader.chain(pem: caPEM, what: "the fleet's authority")
        let key = try NodeKey(pem: keyPEM)
        guard let leafKey = try? leaf.extractPublicKey().toSPKIBytes(), leafKey == key.publicKeyDER else {
            throw TrustError(.malformedKey, "the private key does not belong to the certificate; join the fleet again")
        }
        _ = try TicketVerifier(publicKey: ticketPublicKey)
        identity = try CertificateReader.identity(of: leaf)
        self.fleet = fleet
        self.certificateChainPEM = certificateChainPEM
        self.keyPEM = keyPEM
        self.caPEM = caPEM
        self.ticketPublicKey = ticketPublicKey
        notBefore = Double(leaf.notValidBefore)
        expiresAt = Double(leaf.notValidAfter)
    }

    package var tenant: TenantID { identity.tenant }
    /// The node's name; nil for a gateway or an operator.
    package var node: NodeID? { identity.node }

    package func ticketVerifier() throws(TrustError) -> TicketVerifier {
        try TicketVerifier(publicKey: ticketPublicKey)
    }
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "credentials of \(identity) in fleet \(fleet)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["identity": identity.uri, "fleet": fleet]) }
}
