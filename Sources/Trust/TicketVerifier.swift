import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Checks tickets against the gateway's public key, offline.
package struct TicketVerifier: Sendable {
    /// How far the gateway's clock and this one may differ, in seconds.
    package static let leeway: Double = 60
    private static let signatureLength = 64

    private let key: Curve25519.Signing.PublicKey

    /// - Throws: `malformedKey` when `publicKey` is not 32 bytes long.
    package init(publicKey: [UInt8]) throws(TrustError) {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else {
            throw TrustError(.malformedKey, "the fleet's ticket key is not an Ed25519 key; join the fleet again")
        }
        self.key = key
    }

    /// The ticket, if the gateway signed it and it is valid now. What it allows is the caller's to compare.
    ///
    /// - Parameter now: seconds since 1970 by this node's clock.
    /// - Throws: `malformedTicket`, `forged`, `expired` or `notYetValid`.
    package func verify(_ bytes: [UInt8], now: Double) throws(TrustError) -> Ticket {
        guard bytes.count > Self.signatureLength else { throw Ticket.malformed("it was cut short") }
        let body = bytes.dropLast(Self.signatureLength)
        guard body.first == Ticket.encodingVersion else {
            throw Ticket.malformed("this release cannot read its version; upgrade this node")
        }
        guard key.isValidSignature(Array(bytes.suffix(Self.signatureLength)), for: Ticket.domain + body) else {
            throw TrustError(
                .forged,
                "the ticket was not signed by this fleet's gateway; if that was set up anew, join the fleet again"
            )
        }
        let ticket = try Ticket(encoded: body)
        if now > ticket.expiresAt + Self.leeway {
            throw TrustError(
                .expired,
                """
                the ticket for workload \(ticket.workload) expired \(spoken(seconds: now - ticket.expiresAt)) ago; \
                ask for a new one, and check the clocks of this node and the gateway
                """)
        }
        if now < ticket.notBefore - Self.leeway {
            throw TrustError(
                .notYetValid,
                """
                the ticket for workload \(ticket.workload) begins in \(spoken(seconds: ticket.notBefore - now)); \
                check the clocks of this node and the gateway
                """)
        }
        return ticket
    }
}
