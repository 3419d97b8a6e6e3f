import ArgumentParser
import Etcd
import Gateway
import Ledger
import LedgerEtcd
import NIOPosix

/// Where the ledger is: a file in the data folder, or an etcd.
struct LedgerOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "etcd://HOST:PORT[,HOST:PORT…][/PREFIX], or etcds:// for TLS (default: SQLite in the data folder).",
            valueName: "url"))
    var ledger: String?

    @Option(
        help: ArgumentHelp("Who signed etcd's certificates, PEM (default: whom the system trusts).", valueName: "file"))
    var etcdCa: String?

    @Option(help: ArgumentHelp("This gateway's certificate for etcd, PEM.", valueName: "file"))
    var etcdCert: String?

    @Option(help: ArgumentHelp("The key of --etcd-cert, PEM.", valueName: "file"))
    var etcdKey: String?

    func validate() throws {
        do { _ = try location() } catch { throw ValidationError("--ledger \(error.message)") }
        guard (etcdCert == nil) == (etcdKey == nil) else {
            throw ValidationError("--etcd-cert and --etcd-key belong together")
        }
    }

    private func location() throws(EtcdError) -> EtcdLocation? {
        guard let ledger else { return nil }
        return try EtcdLocation(ledger)
    }

    var isShared: Bool { ledger != nil }

    /// Nil where the ledger is a file. Connects at the first call.
    func client() throws -> EtcdClient? {
        guard let location = try location() else { return nil }
        var configuration = EtcdClient.Configuration(location: location)
        configuration.tls = EtcdTLS(authority: etcdCa, certificate: etcdCert, key: etcdKey)
        return try EtcdClient(configuration, group: MultiThreadedEventLoopGroup.singleton)
    }

    /// The ledger for a short while in which no gateway uses it.
    ///
    /// - Throws: `locked` when a gateway does, naming it.
    func withFreeLedger<Value: Sendable>(
        of directory: GatewayDirectory, _ body: @escaping @Sendable (any LedgerArchive) async throws -> Value
    ) async throws -> Value {
        guard let client = try client() else {
            let ledger = try SQLiteLedger(path: directory.ledgerPath)
            do {
                let value = try await body(ledger)
                await ledger.close()
                return value
            } catch {
                await ledger.close()
                throw error
            }
        }
        defer { client.close() }
        let election = EtcdElection(client: client)
        let authority = try directory.authority(fleet: "lighter").digest
        guard let leadership = try await election.campaign(as: Leader(address: "", authority: authority)) else {
            let leader = try await election.leader()?.address ?? ""
            throw LedgerError(
                .locked,
                "a gateway\(leader.isEmpty ? "" : " at \(leader)") uses the ledger in etcd; stop all gateways first")
        }
        return try await EtcdLedger.lead(with: leadership, on: client) { ledger in try await body(ledger) }
    }
}
