import Fleet
import Logging
import NIOPosix
import Session
import Trust

extension OperatorClient {
    /// Connects, calls `body` and closes, whatever comes of it.
    static func with<Result: Sendable>(
        gateway: String, credentials: Credentials, _ body: @Sendable (OperatorClient) async throws -> Result
    ) async throws -> Result {
        let client = try await connect(
            gateway: gateway, credentials: credentials, on: MultiThreadedEventLoopGroup.singleton.next(),
            logger: .silent)
        defer { client.close() }
        return try await body(client)
    }
}

extension Logger {
    /// A command tells its user by its output and its error alone.
    static var silent: Logger { Logger(label: "lighter") { _ in SwiftLogNoOpLogHandler() } }
}
