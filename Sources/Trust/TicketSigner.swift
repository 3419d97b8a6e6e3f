import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The gateway's Ed25519 key for tickets.
package struct TicketSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    /// A new key.
    package init() { key = Curve25519.Signing.PrivateKey() }

    /// - Throws: `malformedKey` when `rawKey` is not 32 bytes long.
    package init(rawKey: [UInt8]) throws(TrustError) {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: rawKey) else {
            throw TrustError(
                .malformedKey, "the ticket key is not an Ed25519 key; restore it from the gateway's backup")
        }
        self.key = key
    }

    /// 32 bytes: a secret.
    package var rawKey: [UInt8] { Array(key.rawRepresentation) }

    package var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    /// The ticket and, after it, its signature (64 bytes): at most 300 bytes.
    package func sign(_ ticket: Ticket) throws(TrustError) -> [UInt8] {
        let body = ticket.encoded
        do {
            return body + Array(try key.signature(for: Ticket.domain + body))
        } catch {
            throw TrustError(
                .malformedKey, "the ticket key cannot sign; restore it from the gateway's backup", cause: error)
        }
    }
}

extension TicketSigner: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "TicketSigner" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
