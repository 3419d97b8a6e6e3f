/// Why a mount cannot be kept.
package struct MountError: Error, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The root or an option cannot be used.
        case invalid
        /// The device's folder is gone, unreadable or another one than before; nothing was deleted because of it.
        case originLost
        /// The device's folder is larger than the mount may be.
        case tooLarge
        /// The peer broke the protocol's rules.
        case protocolViolation
        /// The pipe to the other side ended or failed.
        case pipe
        /// A file could not be read or written here.
        case file
        /// Some paths could not be brought to both sides.
        case incomplete
        /// The session has ended.
        case stopped
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

extension MountError {
    static func violation(_ message: String) -> MountError {
        MountError(.protocolViolation, "\(message); both sides must run the same version of Lighter")
    }
}
