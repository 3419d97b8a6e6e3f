import Crypto
import Fleet
import SwiftASN1
package import Trust
import X509

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// The fleet's certificate authority and its key for tickets: whoever holds these is the fleet.
///
/// Everything is P-256 with SHA-256, and one level deep: the authority signs leaves and nothing else.
package final class CertificateAuthority: Sendable {
    /// How long an authority lives, in years of 365 days.
    package static let years = 10
    /// Certificates begin this long in the past, in seconds, for peers whose clocks are behind.
    static let backdating: Double = 300

    package let fleet: String
    package let ticketSigner: TicketSigner
    let certificate: Certificate
    let key: P256.Signing.PrivateKey
    private let certificateDER: [UInt8]

    package let certificatePEM: String

    /// A new authority for a fleet, with new keys.
    ///
    /// - Parameter fleet: its name, spelled as a node's: 1 to 63 of `a-z 0-9 -`.
    /// - Throws: `invalidFleetName`.
    package static func create(fleet: String, now: Date = .now) throws(AuthorityError) -> CertificateAuthority {
        try check(fleet: fleet)
        let key = P256.Signing.PrivateKey()
        let certificate = try Certificate.authority(fleet: fleet, key: key, now: now)
        return try CertificateAuthority(certificate: certificate, key: key, ticketSigner: TicketSigner())
    }

    /// - Throws: `invalidFleetName`.
    package static func check(fleet: String) throws(AuthorityError) {
        guard (try? NodeID(fleet)) != nil else {
            throw AuthorityError(
                .invalidFleetName,
                "'\(fleet)' is not a fleet's name: use 1 to 63 of a-z, 0-9 and '-', not '-' first or last")
        }
    }

    /// An authority from its parts.
    ///
    /// - Parameter ticketKey: 32 bytes.
    /// - Throws: `damaged` when a part cannot be read, or the key is not the certificate's.
    package convenience init(certificatePEM: String, keyPEM: String, ticketKey: [UInt8]) throws(AuthorityError) {
        do {
            try self.init(
                certificate: Certificate(pemEncoded: certificatePEM),
                key: P256.Signing.PrivateKey(pemRepresentation: keyPEM), ticketSigner: TicketSigner(rawKey: ticketKey))
        } catch let error as AuthorityError {
            throw error
        } catch {
            throw AuthorityError(
                .damaged, "the fleet's authority cannot be read; restore it from the gateway's backup", cause: error)
        }
    }

    private init(certificate: Certificate, key: P256.Signing.PrivateKey, ticketSigner: TicketSigner)
        throws(AuthorityError)
    {
        guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else {
            throw AuthorityError(
                .damaged, "the authority's key is not its certificate's; restore both from the same backup")
        }
        guard let fleet = certificate.subject.commonName else {
            throw AuthorityError(.damaged, "the authority's certificate names no fleet; restore it from a backup")
        }
        do {
            var serializer = DER.Serializer()
            try serializer.serialize(certificate)
            certificateDER = serializer.serializedBytes
            certificatePEM = try certificate.serializeAsPEM().pemString + "\n"
        } catch {
            throw AuthorityError(.encoding, "the authority's certificate cannot be encoded", cause: error)
        }
        self.fleet = fleet
        self.certificate = certificate
        self.key = key
        self.ticketSigner = ticketSigner
    }

    /// SHA-256 of the certificate in DER: what join tokens pin.
    package var certificateDigest: [UInt8] { Array(SHA256.hash(data: certificateDER)) }

    /// PKCS#8: the fleet's greatest secret.
    var keyPEM: String { key.pemRepresentation }

    /// A new one-time token for a node that shall join; the ledger keeps its hash.
    package func joinToken() throws(TrustError) -> JoinToken { try JoinToken(caDigest: certificateDigest) }
}

extension CertificateAuthority: CustomStringConvertible, CustomReflectable {
    package var description: String { "authority of fleet \(fleet)" }
    package var customMirror: Mirror { Mirror(self, children: ["fleet": fleet]) }
}
