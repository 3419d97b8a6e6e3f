import Crypto
import Fleet
import SwiftASN1
import Trust
import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The two kinds of certificate that a fleet has.
extension Certificate {
    /// Signs leaves, no further authorities.
    static func authority(fleet: String, key: P256.Signing.PrivateKey, now: Date) throws(AuthorityError) -> Certificate
    {
        do {
            let name = try DistinguishedName {
                OrganizationName("Lighter")
                CommonName(fleet)
            }
            let publicKey = PublicKey(key.publicKey)
            return try Certificate(
                version: .v3, serialNumber: SerialNumber(), publicKey: publicKey,
                notValidBefore: now - 86_400, notValidAfter: now + Double(CertificateAuthority.years) * 365 * 86_400,
                issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: publicKey)
                },
                issuerPrivateKey: PrivateKey(key))
        } catch {
            throw AuthorityError(.encoding, "the authority's certificate cannot be encoded", cause: error)
        }
    }

    /// Names its holder by one URI, for use at either end of a link.
    static func leaf(
        of identity: PeerIdentity, key: P256.Signing.PublicKey, from: Date, until: Date, issuer: Certificate,
        issuerKey: P256.Signing.PrivateKey
    ) throws(AuthorityError) -> Certificate {
        do {
            let publicKey = PublicKey(key)
            return try Certificate(
                version: .v3, serialNumber: SerialNumber(), publicKey: publicKey,
                notValidBefore: from, notValidAfter: until,
                issuer: issuer.subject,
                subject: try DistinguishedName {
                    OrganizationName("Lighter")
                    CommonName(identity.commonName)
                },
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage([.clientAuth, .serverAuth])
                    SubjectAlternativeNames([.uniformResourceIdentifier(identity.uri)])
                    SubjectKeyIdentifier(hash: publicKey)
                    AuthorityKeyIdentifier(
                        keyIdentifier: try issuer.extensions.subjectKeyIdentifier?.keyIdentifier)
                },
                issuerPrivateKey: PrivateKey(issuerKey))
        } catch {
            throw AuthorityError(.encoding, "the certificate of \(identity) cannot be encoded", cause: error)
        }
    }
}

extension PeerIdentity {
    /// For people who look at the certificate; nothing reads it.
    fileprivate var commonName: String {
        switch role {
        case .gateway: "gateway"
        case .node(let name): name.name
        case .operator(let name): name
        }
    }
}

extension DistinguishedName {
    var commonName: String? {
        for attributes in self {
            for attribute in attributes where attribute.type == .RDNAttributeType.commonName {
                return String(attribute.value)
            }
        }
        return nil
    }
}
