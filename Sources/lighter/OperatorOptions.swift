import ArgumentParser
import Foundation
import Session
import Trust

/// Which gateway a command asks, and as whom.
struct OperatorOptions: ParsableArguments {
    @Option(
        name: .long,
        help: "HOST:PORT of the gateway, or of several with commas (LIGHTER_GATEWAY; default: that of `lighter up`).")
    var gateway: String?

    @Option(name: .long, help: "Folder of operator credentials (LIGHTER_CREDENTIALS; default: those of `lighter up`).")
    var credentials: String?

    /// Calls `body` with a client of the gateway.
    ///
    /// - Throws: `CommandFailure`, one line, whatever went wrong.
    func withClient<Result: Sendable>(
        _ body: @Sendable (OperatorClient) async throws -> Result
    ) async throws -> Result {
        let gateways = try gateways()
        do {
            let credentials = try Credentials.load(from: credentialsDirectory())
            return try await gateways.ask { address in
                try await OperatorClient.with(gateway: address, credentials: credentials, body)
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(error)
        }
    }

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    func gateways() throws -> GatewayList {
        if let given = gateway ?? environment["LIGHTER_GATEWAY"], !given.isEmpty {
            guard let list = GatewayList(given) else {
                throw ValidationError("--gateway \(given): write it as HOST:PORT, several with commas between them")
            }
            return list
        }
        for installation in Installation.known {
            if let text = try? String(contentsOfFile: installation.gatewayAddressFile, encoding: .utf8),
                let list = GatewayList(text.trimmed)
            {
                return list
            }
        }
        try Self.checkReadable()
        throw CommandFailure("no gateway is known: run `lighter up`, or name one with --gateway HOST:PORT")
    }

    func credentialsDirectory() throws -> String {
        if let given = credentials ?? environment["LIGHTER_CREDENTIALS"], !given.isEmpty { return given }
        for installation in Installation.known
        where FileManager.default.isReadableFile(atPath: installation.operatorCredentials) {
            return installation.operatorCredentials
        }
        try Self.checkReadable()
        throw CommandFailure(
            "no operator credentials: run `lighter up`, or name the gateway's operator folder with --credentials DIR")
    }

    /// Tells a machine without a gateway from one whose gateway is another user's.
    private static func checkReadable() throws {
        let machine = Installation(state: "/var/lib/lighter").state
        if FileManager.default.fileExists(atPath: machine), !FileManager.default.isReadableFile(atPath: machine) {
            throw CommandFailure("this machine's gateway is root's: use sudo, or --gateway and --credentials")
        }
    }
}
