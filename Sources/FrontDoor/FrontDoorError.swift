/// What can go wrong at the front door before an engine is asked.
package struct FrontDoorError: Error, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The journal cannot be opened, read or written.
        case journal
        /// The socket cannot be made.
        case socket
        /// An engine or a node cannot be reached.
        case unreachable
        /// What is kept on disk for a while cannot be.
        case spool
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
