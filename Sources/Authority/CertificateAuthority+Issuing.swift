import Crypto
import SwiftASN1
package import Trust
import X509

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

extension CertificateAuthority {
    /// How long a certificate lives unless the caller says otherwise.
    package static let defaultValidity: Duration = .seconds(24 * 3600)

    /// A certificate that says that the holder of the key is `identity`. That the key is the holder's own (its proof of
    /// possession) and that it may be called so is the caller's to check.
    ///
    /// It begins five minutes ago, for peers whose clocks are behind, and never outlives the authority.
    ///
    /// - Parameter publicKeyDER: SubjectPublicKeyInfo of a P-256 key.
    /// - Returns: PEM, the leaf and then the authority's certificate.
    /// - Throws: `invalidPublicKey`, `invalidValidity`, `expired`.
    package func issue(
        to identity: PeerIdentity, publicKeyDER: [UInt8], validFor: Duration = CertificateAuthority.defaultValidity,
        now: Date = .now
    ) throws(AuthorityError) -> String {
        let seconds = Double(validFor.components.seconds) + Double(validFor.components.attoseconds) * 1e-18
        guard seconds >= 1 else {
            throw AuthorityError(
                .invalidValidity, "a certificate must be valid for at least one second, not \(validFor)")
        }
        guard let publicKey = try? P256.Signing.PublicKey(derRepresentation: publicKeyDER) else {
            throw AuthorityError(
                .invalidPublicKey, "the public key of \(identity) is not a P-256 key; upgrade that node and try again")
        }
        guard now < certificate.notValidAfter else {
            throw AuthorityError(
                .expired, "the authority of fleet \(fleet) is past its \(Self.years) years; set the fleet up anew")
        }
        let leaf = try Certificate.leaf(
            of: identity, key: publicKey,
            from: max(now - Self.backdating, certificate.notValidBefore),
            until: min(now + seconds, certificate.notValidAfter), issuer: certificate, issuerKey: key)
        do {
            return try leaf.serializeAsPEM().pemString + "\n" + certificatePEM
        } catch {
            throw AuthorityError(.encoding, "the certificate of \(identity) cannot be encoded", cause: error)
        }
    }

    /// Credentials with a key of their own: for the gateway itself and for operators, whose keys are made here.
    package func credentials(
        for identity: PeerIdentity, validFor: Duration = CertificateAuthority.defaultValidity, now: Date = .now
    ) throws(AuthorityError) -> Credentials {
        let key = NodeKey()
        let chain = try issue(to: identity, publicKeyDER: key.publicKeyDER, validFor: validFor, now: now)
        do {
            return try Credentials(
                fleet: fleet, certificateChainPEM: chain, keyPEM: key.pemRepresentation, caPEM: certificatePEM,
                ticketPublicKey: ticketSigner.publicKey)
        } catch {
            throw AuthorityError(.encoding, "the credentials of \(identity) cannot be made", cause: error)
        }
    }
}
