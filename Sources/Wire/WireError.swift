/// What can be wrong with bytes or a message that a peer sent.
package struct WireError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// A length prefix says more than the limit: another protocol, or a peer that must not be trusted.
        case oversize
        /// Bytes that are not a length prefix or not a message of the expected kind.
        case malformed
        /// A message that lacks what it cannot do without, or holds an impossible value.
        case invalid
        /// A word that this version does not know, where no safe reading exists: the peer is newer.
        case unknownWord
    }

    package var code: Code
    /// Says what was wrong, where, and what to do about it.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        if let cause { "\(message) (\(cause))" } else { message }
    }
}
