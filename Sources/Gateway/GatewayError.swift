import Wire

/// Why the gateway did not do something.
package struct GatewayError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        case denied
        case notFound = "not-found"
        case invalid
        /// It stands as it is.
        case conflict
        /// The ledger or a peer is away; trying again helps.
        case unavailable
        case `internal`
    }

    package var code: Code
    /// What happened and what to do about it, for the person at the other end.
    package var message: String
    package var cause: (any Error)?
    /// When the other end may come back; nil where that is its own affair.
    package var retryAfter: Duration?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}

extension Lighter_V1_Failure {
    init(_ error: GatewayError) {
        self.init()
        code = error.code.rawValue
        message = error.message
        if let after = error.retryAfter { retrySeconds = after / .seconds(1) }
    }
}
