/// Why a peer, a token, a ticket or a file on disk is not trusted, in words that say what to do about it.
///
/// Never carries a secret: no key, no token secret, no ticket bytes.
package struct TrustError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// A certificate's name is not one that Lighter writes.
        case malformedIdentity
        /// A key could not be read.
        case malformedKey
        /// A certificate could not be read.
        case malformedCertificate
        /// A join token that was mistyped or cut short.
        case mistypedToken
        /// A join token of a newer release.
        case unsupportedToken
        /// Something that is not a ticket.
        case malformedTicket
        /// A ticket, or a proof of possession, that was not signed by the key it should be.
        case forged
        /// Was valid once.
        case expired
        /// Will be valid.
        case notYetValid
        /// A certificate from another fleet's authority.
        case unknownAuthority
        /// The gateway's authority is not the one that the join token names.
        case tokenAuthorityMismatch
        /// The peer showed no certificate where one is needed.
        case noCertificate
        /// The peer is who it says, but not who was wanted.
        case wrongPeer
        /// The TLS handshake failed for another reason.
        case handshake
        /// A file or directory is missing.
        case missingFile
        /// A file is there, but does not hold what it should.
        case corruptFile
        /// A file with a secret can be read, or replaced, by others.
        case unsafePermissions
        /// The file system refused.
        case fileSystem
    }

    package var code: Code
    /// One sentence with the remedy.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        guard let cause else { return message }
        return "\(message) (\(cause))"
    }
}

/// A length of time as a person reads it: `40 seconds`, `3 hours`, `12 days`.
func spoken(seconds: Double) -> String {
    let seconds = seconds.magnitude
    for (unit, length) in [("day", 86_400.0), ("hour", 3_600), ("minute", 60)] where seconds >= length {
        let count = Int64(min(seconds / length, 1e15))
        return count == 1 ? "1 \(unit)" : "\(count) \(unit)s"
    }
    let count = seconds.isFinite ? Int64(seconds) : 0
    return count == 1 ? "1 second" : "\(count) seconds"
}
