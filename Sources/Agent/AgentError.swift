/// What can go wrong in the agent itself, as against what it refuses to a caller.
package struct AgentError: Error, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The engine cannot be reached or answered nonsense.
        case engine
        /// A peer's stream broke HTTP's rules.
        case protocolViolation
        /// What was waited for did not come in time.
        case timedOut
    }

    package let code: Code
    /// What happened and what to do.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message) (\($0))" } ?? message }
}
