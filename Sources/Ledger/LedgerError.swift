/// Why the ledger could not be opened, read or written; the message says what to do.
package struct LedgerError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// Another gateway has the ledger open.
        case locked
        /// No space is left; writes work again when there is.
        case full
        /// The file or its directory cannot be written.
        case readOnly
        /// The file is damaged, or is no ledger.
        case corrupt
        /// A newer release wrote the ledger.
        case newerSchema
        /// The request contradicts what is kept.
        case conflict
        /// Someone else held the database for too long; trying again helps.
        case busy
        /// Another gateway leads the fleet now; nothing was written.
        case notLeader
        /// The store cannot be reached or has no majority; a write may have been done, and can be tried again.
        case unreachable
        /// The store does not let this gateway read or write.
        case denied
        /// `close` was called.
        case closed
        /// The caller was cancelled while it read.
        case cancelled
        /// The storage failed in another way.
        case storage
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
