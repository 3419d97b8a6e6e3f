import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A node's own P-256 key. It is made on the node and never leaves it.
package struct NodeKey: Sendable {
    private let key: P256.Signing.PrivateKey

    /// A new key.
    package init() { key = P256.Signing.PrivateKey() }

    /// - Throws: `malformedKey`, without a word of what `pem` held.
    package init(pem: String) throws(TrustError) {
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else {
            throw TrustError(.malformedKey, "the private key is not a P-256 key in PEM; join the fleet again")
        }
        self.key = key
    }

    /// PKCS#8 in PEM: a secret.
    package var pemRepresentation: String { key.pemRepresentation }

    /// SubjectPublicKeyInfo in DER.
    package var publicKeyDER: [UInt8] { Array(key.publicKey.derRepresentation) }

    /// An ECDSA signature over the SHA-256 of `bytes`, in DER.
    package func sign(_ bytes: [UInt8]) throws(TrustError) -> [UInt8] {
        do {
            return Array(try key.signature(for: bytes).derRepresentation)
        } catch {
            throw TrustError(.malformedKey, "this node's key cannot sign; join the fleet again", cause: error)
        }
    }

    /// Whether `proof` was made over `bytes` by the key whose public half is given: proof of possession.
    package static func isValid(proof: [UInt8], over bytes: [UInt8], publicKeyDER: [UInt8]) -> Bool {
        guard let key = try? P256.Signing.PublicKey(derRepresentation: publicKeyDER),
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: proof)
        else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}

extension NodeKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "NodeKey" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
