import ArgumentParser
import Authority
import Fleet
import Gateway
import Ledger
import Logging
import NIOPosix
import Session
import Trust

struct MakeToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Prints a token with which one machine may join; works while the gateway runs.")

    @OptionGroup var options: DataOption

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
        guard let ledger = try Self.freeLedger(at: directory.ledgerPath) else {
            // A gateway has it open: it makes the token itself.
            return print(try await Self.ask(directory, tenant, seconds))
        }
        let token = try await JoinTokens.make(for: tenant, seconds: seconds, authority: authority, ledger: ledger)
        await ledger.close()
        print(token.text)
    }

    /// The ledger, unless a gateway uses it.
    private static func freeLedger(at path: String) throws(LedgerError) -> SQLiteLedger? {
        do {
            return try SQLiteLedger(path: path)
        } catch {
            guard error.code == .locked else { throw error }
            return nil
        }
    }

    private static func ask(_ directory: GatewayDirectory, _ tenant: TenantID, _ seconds: Double) async throws -> String
    {
        guard let address = directory.address else {
            throw GatewayError(.unavailable, "the gateway is just starting; try again in a moment")
        }
        let credentials = try Credentials.load(from: directory.operatorPath)
        let client = try await OperatorClient.connect(
            gateway: address, credentials: credentials, on: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "lighter-gateway") { _ in SwiftLogNoOpLogHandler() })
        defer { client.close() }
        return try await client.token(tenant: tenant, ttl: .seconds(seconds)).text
    }

    /// `90`, `90s`, `30m`, `12h`, `7d`.
    static func seconds(_ text: String) -> Double? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last else { return nil }
        let (digits, unit) = units[last].map { (text.dropLast(), $0) } ?? (text[...], 1)
        guard let number = Double(digits), number > 0, number.isFinite else { return nil }
        return number * unit
    }
}
