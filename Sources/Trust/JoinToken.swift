import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a new node is given, once, to join a fleet: whom to trust, and a secret that the gateway knows the hash of.
///
/// As text it is one shell-safe word, `lt1-` and 96 characters of base 32: the digest (32 bytes), the id (8), the
/// secret (16), and a checksum (4) that tells a typing mistake from a token that the gateway does not know.
package struct JoinToken: Sendable, Hashable {
    /// SHA-256 of the authority's certificate in DER.
    package let caDigest: [UInt8]
    /// 16 hex digits: under which the gateway keeps the token.
    package let id: String
    /// 128 random bits; never logged.
    package let secret: [UInt8]

    private static let prefix = "lt1-"

    /// A new token for the authority with the given digest.
    ///
    /// - Throws: `malformedCertificate` when `caDigest` is not 32 bytes long.
    package init(caDigest: [UInt8]) throws(TrustError) {
        var random = SystemRandomNumberGenerator()
        let id = (0..<8).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let secret = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        try self.init(caDigest: caDigest, id: id, secret: secret)
    }

    private init(caDigest: [UInt8], id: [UInt8], secret: [UInt8]) throws(TrustError) {
        guard caDigest.count == 32 else {
            throw TrustError(.malformedCertificate, "an authority's digest has 32 bytes, not \(caDigest.count)")
        }
        self.caDigest = caDigest
        self.id = hex(id)
        self.secret = secret
    }

    /// Reads a token as `text` gives it; spaces and line ends around it are left aside.
    ///
    /// - Throws: `mistypedToken` for what cannot be a token, `unsupportedToken` for one of a newer release.
    package init(_ text: String) throws(TrustError) {
        let word = text.drop { $0.isWhitespace }.prefix { !$0.isWhitespace }
        guard text.drop(while: \.isWhitespace).dropFirst(word.count).allSatisfy(\.isWhitespace) else {
            throw TrustError(.mistypedToken, "a join token is one word; put it in quotes if it was broken over lines")
        }
        let lower = word.lowercased()
        guard lower.hasPrefix(Self.prefix) else {
            if lower.hasPrefix("lt"), lower.contains("-") {
                throw TrustError(
                    .unsupportedToken, "this join token was made by another release of Lighter; upgrade this node")
            }
            throw TrustError(.mistypedToken, "this is not a join token: one begins with \(Self.prefix)")
        }
        guard let bytes = Base32.decode(lower.dropFirst(Self.prefix.count)), bytes.count == 60,
            Self.checksum(bytes[..<56]) == Array(bytes[56...])
        else {
            throw TrustError(
                .mistypedToken, "the join token was mistyped or cut short; copy the whole word, 100 characters")
        }
        try self.init(caDigest: Array(bytes[..<32]), id: Array(bytes[32..<40]), secret: Array(bytes[40..<56]))
    }

    /// The token as it is given to a person: a secret.
    package var text: String {
        let payload = caDigest + bytes(hex: id) + secret
        return Self.prefix + Base32.encode(payload + Self.checksum(payload[...]))
    }

    /// SHA-256 of the secret: what the gateway keeps, and compares.
    package var secretHash: [UInt8] { Array(SHA256.hash(data: secret)) }

    private static func checksum(_ payload: ArraySlice<UInt8>) -> [UInt8] {
        Array(SHA256.hash(data: Array("lighter join token 1".utf8) + payload).prefix(4))
    }
}

extension JoinToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The id alone: it may be logged.
    package var description: String { "join token \(id)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

/// Lower-case hex digits of `bytes`.
func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// The bytes that `hex` spells; what is no pair of hex digits is left out.
func bytes(hex text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
