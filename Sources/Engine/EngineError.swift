package import DockerAPI
internal import Glibc
internal import NIOCore

/// Why an engine could not be asked, or would not answer.
package struct EngineError: Error, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// Nobody listens, or the way there is cut.
        case unreachable
        /// The connection ended before the answer did.
        case closed
        /// What came back is not HTTP, or not what the API says.
        case malformed
        /// The answer is longer than the caller allows.
        case tooLarge
        case timeout
        case cancelled
        /// The engine answered with an error status.
        case refused(status: Int)
    }

    package var code: Code
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message) (\(Self.words(for: $0)))" } ?? message }

    /// What went wrong in the system, without the name of the call.
    private static func words(for cause: any Error) -> String {
        (cause as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(cause)"
    }

    /// The words that the docker CLI uses, so that people find what they know.
    package static func cannotConnect(to socket: String, cause: (any Error)? = nil) -> EngineError {
        EngineError(
            .unreachable, "Cannot connect to the Docker daemon at unix://\(socket). Is the docker daemon running?",
            cause: cause)
    }

    /// As it is answered to a Docker client.
    package var failure: DockerFailure {
        switch code {
        case .refused(let status): DockerFailure(status: status, message: message)
        case .unreachable: DockerFailure(status: 503, message: message)
        case .timeout: DockerFailure(status: 504, message: message)
        case .closed, .malformed, .tooLarge: DockerFailure(status: 502, message: message)
        case .cancelled: DockerFailure(status: 500, message: message)
        }
    }

    /// Any error as this room's; what is not one yet counts as a connection that ended.
    static func wrapping(_ error: any Error) -> EngineError {
        switch error {
        case let error as EngineError: error
        case let error as HTTPError: EngineError(.malformed, error.message, cause: error)
        case let error as CancellationError: EngineError(.cancelled, "the call was cancelled", cause: error)
        default: EngineError(.closed, "the connection to the engine failed", cause: error)
        }
    }
}
