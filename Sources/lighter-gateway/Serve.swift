import ArgumentParser
import Authority
import Fleet
import Etcd
import Gateway
import Ledger
import LedgerEtcd
import Logging
import NIOCore
import NIOPosix
import Session

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the gateway until it is told to stop.")

    @OptionGroup var options: DataOption
    @OptionGroup var ledger: LedgerOption

    @Option(help: "With etcd: after how long without a sign of life the next gateway leads; 2s or more.")
    var leaderLease = "2s"

    @Option(help: "Between two heartbeats of a node: 100ms to 60s. Three that are missed make it unreachable.")
    var heartbeat = "1s"

    @Option(
        help: """
            How long exclusive work may go on at a node that hears nothing of a gateway, before it has to stop; the default \
            is two and a half heartbeats, and with --ledger 6s, in which the next gateway leads.
            """)
    var lease: String?

    @Option(help: "HOST:PORT to listen on.")
    var listen = "0.0.0.0:7700"

    @Option(help: "The name of a new fleet.")
    var fleet = "lighter"

    @Option(help: "The fleet's default policy: local, remote, threshold or completion.")
    var policy: String?

    @Option(help: "HOST:PORT that other machines dial, where it differs from --listen.")
    var advertise: String?

    @Option(help: "How long a node's certificate is good: seconds, or 30m, 12h, 7d. Nodes renew theirs in time.")
    var certificateLifetime = "24h"

    @Flag(
        inversion: .prefixedNo,
        help: "Ask nodes near a lost one whether they reach it; `lighter nodes` shows what they find.")
    var secondOpinion = true

    @Flag(
        help: """
            Takes in what nodes know to be newer than the ledger: once, after it was restored from a backup. Without it, work \
            of which the ledger has lost the last placement goes on where it is, and is not moved.
            """)
    var recover = false

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func validate() throws {
        for text in [listen, advertise ?? listen] {
            do { _ = try Endpoint(text) } catch { throw ValidationError("\(error)") }
        }
        if ledger.isShared, advertise == nil, ["0.0.0.0", "[::]"].contains(where: { listen.hasPrefix($0 + ":") }) {
            throw ValidationError(
                "with --ledger, other gateways send nodes here: say where, with --advertise HOST:PORT")
        }
        guard let lease = MakeToken.seconds(leaderLease), (2...60).contains(lease) else {
            throw ValidationError("--leader-lease \(leaderLease): write it as in 5s, from 2s to 60s")
        }
        _ = try beat()
        _ = try leastLease()
        guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("--log-level \(logLevel): unknown") }
        do { _ = try overrides() } catch { throw ValidationError("\(error)") }
        guard let lifetime = MakeToken.seconds(certificateLifetime), (2...365 * 86_400).contains(lifetime) else {
            throw ValidationError(
                "--certificate-lifetime \(certificateLifetime): write it as in 30m, 12h or 7d, up to a year")
        }
    }

    private func beat() throws -> Double {
        guard let seconds = MakeToken.seconds(heartbeat), (0.1...60).contains(seconds) else {
            throw ValidationError("--heartbeat \(heartbeat): write it as in 250ms or 5s, from 100ms to 60s")
        }
        return seconds
    }

    private func leastLease() throws -> Double {
        guard let lease else { return ledger.isShared ? 6 : 0 }
        guard let seconds = MakeToken.seconds(lease), (0.25...600).contains(seconds) else {
            throw ValidationError("--lease \(lease): write it as in 500ms or 10s, from 250ms to 10m")
        }
        return seconds
    }

    private func overrides() throws(FleetError) -> PolicyOverrides {
        var overrides = PolicyOverrides()
        if let policy { try overrides.set("policy", policy, shownAs: "--policy") }
        return overrides
    }

    func run() async throws {
        OpenFiles.allowMany()
        let level = Logger.Level(rawValue: logLevel) ?? .info
        var logger = Logger(label: "lighter-gateway") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        let directory = try GatewayDirectory(options.data, founding: fleet)
        let client = try ledger.client()
        let file = client == nil ? try SQLiteLedger(path: directory.ledgerPath) : nil
        let authority = try directory.authority(fleet: fleet)
        let endpoint = try Endpoint(listen)
        var configuration = GatewayConfiguration()
        configuration.host = endpoint.host
        configuration.port = endpoint.port
        configuration.policy = try overrides()
        configuration.heartbeat = .seconds(try beat())
        configuration.leastLease = .seconds(try leastLease())
        configuration.recoversEpochs = recover
        configuration.asksSecondOpinions = secondOpinion
        if let lifetime = MakeToken.seconds(certificateLifetime) { configuration.certificateLife = .seconds(lifetime) }
        let (advertise, listen) = (advertise, listen)
        let serve: @Sendable (any Ledger) async throws -> Void = { [configuration, logger] ledger in
            let gateway = try await Gateway(
                configuration: configuration, authority: authority, ledger: ledger,
                group: MultiThreadedEventLoopGroup.singleton, logger: logger)
            let address = try await gateway.bind()
            try directory.record(address: Self.local(endpoint.host, port: address.port ?? endpoint.port))
            logger.info(
                "serving",
                metadata: [
                    "fleet": "\(authority.fleet)",
                    "listen": "\(Endpoint(host: endpoint.host, port: address.port ?? 0))",
                    "join": "\(advertise ?? listen)",
                ])
            await gateway.run()
        }
        if let client {
            let candidate = Candidate(
                client: client, life: .seconds(MakeToken.seconds(leaderLease) ?? 2),
                candidate: Leader(address: advertise ?? listen, authority: authority.digest),
                configuration: configuration, authority: authority, group: MultiThreadedEventLoopGroup.singleton,
                logger: logger)
            try await TerminationSignal.run { try await candidate.run(serve) }
            client.close()
        } else if let file {
            try await TerminationSignal.run { try await serve(file) }
            await file.close()
        }
        logger.info("stopped")
    }

    /// How this machine itself reaches what listens on `host`.
    private static func local(_ host: String, port: Int) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1:\(port)"
        case "::": "[::1]:\(port)"
        default: Endpoint(host: host, port: port).description
        }
    }
}
