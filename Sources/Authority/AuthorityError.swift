/// Why the fleet's authority could not be made, opened or used; the message says what to do.
package struct AuthorityError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable, CaseIterable {
        case invalidFleetName
        /// The key that a certificate was asked for is not a P-256 public key.
        case invalidPublicKey
        case invalidValidity
        /// Certificate, key and ticket key cannot be read, or do not belong together.
        case damaged
        /// The authority itself is past its ten years.
        case expired
        /// Reading or writing its files failed; the cause is a `TrustError`.
        case files
        /// X.509 encoding failed, which good input never causes.
        case encoding
    }

    package var code: Code
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
