import Fleet
import Foundation
import Session
import Trust

/// This machine's lighter-gateway as a background process.
struct LocalGateway {
    let installation: Installation
    private let program: String
    private let listen: HostPort
    private let advertise: String?

    /// - Throws: `CommandFailure` when the program is not installed or `listen` is no address.
    init(installation: Installation, listen: String, advertise: String?) throws {
        guard let listen = HostPort(listen) else { throw CommandFailure("write '\(listen)' as HOST:PORT") }
        self.installation = installation
        self.listen = listen
        self.advertise = advertise
        program = try Programs.sibling("lighter-gateway")
    }

    /// Where this machine's node finds it.
    var address: String { listen.reachable.description }

    private var process: BackgroundProcess { installation.background("lighter-gateway") }

    /// Starts it, unless it runs with these settings already, and waits until it answers an operator.
    func start(policy: String?) async throws {
        try Programs.run(program, ["init", "--data", installation.gatewayData])
        var command = [program, "--data", installation.gatewayData, "--listen", listen.description]
        if let advertise { command += ["--advertise", advertise] }
        if let policy { command += ["--policy", policy] }
        _ = try await process.ensure(command)
        try (address + "\n").write(toFile: installation.gatewayAddressFile, atomically: true, encoding: .utf8)
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        while true {
            do {
                let credentials = try Credentials.load(from: installation.operatorCredentials)
                _ = try await OperatorClient.with(gateway: address, credentials: credentials) { try await $0.nodes() }
                return
            } catch {
                guard process.pid != nil else { throw CommandFailure("lighter-gateway ended: \(process.lastWords)") }
                guard ContinuousClock.now < deadline else {
                    throw CommandFailure("the gateway does not answer after 20 s (\(error)): see \(process.log)")
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Waits until the gateway sees this machine's node with a working engine.
    ///
    /// - Returns: false when there is still none after ten seconds; the node is of use without one.
    func seesEngine(of node: NodeID) async throws -> Bool {
        let credentials = try Credentials.load(from: installation.operatorCredentials)
        let deadline = ContinuousClock.now.advanced(by: .seconds(10))
        repeat {
            let nodes = try await OperatorClient.with(gateway: address, credentials: credentials) {
                try await $0.nodes()
            }
            if nodes.contains(where: { $0.id == node && $0.state == .ready }) { return true }
            try await Task.sleep(for: .milliseconds(100))
        } while ContinuousClock.now < deadline
        return false
    }

    /// A join token for this machine's own node.
    func token() throws -> String {
        try Programs.run(program, ["token", "--data", installation.gatewayData])
    }
}
