/// Why the control plane did not do what was asked.
package struct SessionError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// The gateway or the peer says no.
        case denied
        case notFound = "not-found"
        case invalid
        /// What was to be changed stands as it is.
        case conflict
        /// No gateway, no route to the node, or the connection was lost in the middle.
        case unavailable
        case timedOut = "timed-out"
        /// The other side broke the protocol.
        case malformed
        /// This node's certificate, key or join token cannot be used.
        case credentials
        /// The gateway failed in itself.
        case `internal`
        /// A code that this version does not know.
        case unknown
    }

    package var code: Code
    /// What happened and what to do about it, for a person.
    package var message: String
    package var cause: (any Error)?
    /// Set where the gateway is overloaded: when to come back, drawn so that those who were told the same do not come together.
    package var retryAfter: Duration?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}

extension SessionError {
    /// Whether what was asked for may have happened all the same.
    var leavesOpen: Bool { code == .unavailable || code == .timedOut }
}
