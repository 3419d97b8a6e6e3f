import ArgumentParser
import Authority
import Etcd
import Fleet
import Gateway
import Ledger
import LedgerEtcd
import Logging
import NIOPosix
import Session
import Trust

struct MakeToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Prints a token with which one machine may join; works while the gateway runs.")

    @OptionGroup var options: DataOption
    @OptionGroup var ledger: LedgerOption

    @Option(help: "Whose the new node is.")
    var tenant = TenantID.main.name

    @Option(help: "How long the token is good: seconds, or 30m, 12h, 7d.")
    var ttl = "1h"

    func validate() throws {
        guard (try? TenantID(tenant)) != nil else { throw ValidationError("--tenant \(tenant): use a-z, 0-9 and -") }
        guard Self.seconds(ttl) != nil else { throw ValidationError("--ttl \(ttl): write it as in 30m, 12h or 7d") }
    }

    func run() async throws {
        let directory = try GatewayDirectory(existing: options.data)
        let authority = try directory.authority(fleet: "lighter")
        let tenant = try TenantID(tenant)
        let seconds = Self.seconds(ttl) ?? JoinTokens.defaultLife
        do {
            let text = try await ledger.withFreeLedger(of: directory) { ledger in
                try await JoinTokens.make(for: tenant, seconds: seconds, authority: authority, ledger: ledger).text
            }
            print(text)
        } catch let error as LedgerError where error.code == .locked {
            // A gateway has it open: it makes the token itself.
            print(try await Self.ask(try await address(directory), directory, tenant, seconds))
        }
    }

    /// Where the gateway is that uses the ledger.
    private func address(_ directory: GatewayDirectory) async throws -> String? {
        guard let client = try ledger.client() else { return directory.address }
        defer { client.close() }
        return try await EtcdElection(client: client).leader()?.address
    }

    private static func ask(
        _ address: String?, _ directory: GatewayDirectory, _ tenant: TenantID, _ seconds: Double
    ) async throws -> String {
        guard let address, !address.isEmpty else {
            throw GatewayError(.unavailable, "the gateway is just starting; try again in a moment")
        }
        let credentials = try Credentials.load(from: directory.operatorPath)
        let client = try await OperatorClient.connect(
            gateway: address, credentials: credentials, on: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "lighter-gateway") { _ in SwiftLogNoOpLogHandler() })
        defer { client.close() }
        return try await client.token(tenant: tenant, ttl: .seconds(seconds)).text
    }

    /// `90`, `90s`, `250ms`, `30m`, `12h`, `7d`.
    static func seconds(_ text: String) -> Double? {
        if text.hasSuffix("ms") { return Double(text.dropLast(2)).flatMap { $0 > 0 ? $0 / 1000 : nil } }
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last else { return nil }
        let (digits, unit) = units[last].map { (text.dropLast(), $0) } ?? (text[...], 1)
        guard let number = Double(digits), number > 0, number.isFinite else { return nil }
        return number * unit
    }
}
