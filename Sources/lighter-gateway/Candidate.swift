import Authority
import Etcd
import Gateway
import Ledger
import LedgerEtcd
import Logging
import NIOCore

/// A gateway among several on one etcd: waits to lead, leads, and waits again when it has lost the lead.
struct Candidate: Sendable {
    /// How often a gateway that waits looks whether somebody leads.
    private static let interval = Duration.milliseconds(100)

    let client: EtcdClient
    /// How long the fleet may be without a leader once one has died.
    let life: Duration
    let candidate: Leader
    let configuration: GatewayConfiguration
    let authority: CertificateAuthority
    let group: any EventLoopGroup
    let logger: Logger

    /// Calls `serve` with the ledger each time that this gateway leads, until cancelled.
    ///
    /// - Throws: what `serve` does, and what waiting does not mend: no permission, another fleet's etcd.
    func run(_ serve: @escaping @Sendable (any Ledger) async throws -> Void) async throws {
        while !Task.isCancelled {
            guard let leadership = try await lead() else { return }
            logger.notice("this gateway leads the fleet", metadata: ["address": "\(candidate.address)"])
            do {
                try await EtcdLedger.lead(with: leadership, on: client) { ledger in
                    try await check(ledger)
                    try await serve(ledger)
                }
                if !Task.isCancelled { logger.warning("this gateway has lost the lead; waiting for it") }
            } catch let error as LedgerError where [.notLeader, .unreachable, .closed].contains(error.code) {
                logger.warning("this gateway has lost the lead; waiting for it", metadata: ["error": "\(error)"])
            }
        }
    }

    /// The ledger remembers whose it is, also while nobody leads.
    private func check(_ ledger: EtcdLedger) async throws {
        guard let known = try await ledger.setting("authority") else {
            return try await ledger.setSetting("authority", candidate.authority)
        }
        guard known == candidate.authority else { throw otherFleet }
    }

    private var otherFleet: GatewayError {
        GatewayError(
            .denied,
            "the ledger in \(client.configuration.location) is of a fleet with another authority; copy the folder "
                + "'authority' of its gateway into this one's --data, or give this fleet a prefix of its own")
    }

    // MARK: - Waiting

    /// The lead; nil when cancelled. As long as another has it, everybody is sent there.
    private func lead() async throws -> Leadership? {
        var news = StandbyNews()
        if let leadership = try await attempt(nil, &news) { return leadership }
        guard !Task.isCancelled else { return nil }
        let standby = try StandbyGateway(
            configuration: configuration, authority: authority, ledger: EtcdLedgerReader(client), group: group,
            logger: logger)
        _ = try await standby.bind()
        return try await withThrowingTaskGroup(of: Leadership?.self) { group in
            group.addTask {
                await standby.run()
                return nil
            }
            group.addTask { [news] in
                var news = news
                while !Task.isCancelled {
                    if let leadership = try await attempt(standby, &news) { return leadership }
                    try? await Task.sleep(for: Self.interval)
                }
                return nil
            }
            defer { group.cancelAll() }
            guard let leadership = try await group.next() ?? nil else { return nil }
            // The address must be free before it can be served.
            group.cancelAll()
            _ = try await group.next()
            return leadership
        }
    }

    private func attempt(_ standby: StandbyGateway?, _ news: inout StandbyNews) async throws -> Leadership? {
        let election = EtcdElection(client: client, life: life)
        do throws(LedgerError) {
            guard let leader = try await election.leader() else {
                let leadership = try await election.campaign(as: candidate)
                if leadership == nil { say(.isLed(""), &news) }
                return leadership
            }
            say(.isLed(leader.address), &news)
            standby?.leader = leader.address.isEmpty ? nil : leader.address
            guard leader.authority == candidate.authority else { throw otherFleet(as: .conflict) }
            return nil
        } catch {
            // Whoever is told to stop while etcd is silent has not failed.
            if error.code == .cancelled, Task.isCancelled { return nil }
            guard error.code == .unreachable else { throw error }
            standby?.leader = nil
            say(.hasNoStore, &news, because: error)
            return nil
        }
    }

    private func say(_ cause: StandbyNews.Cause, _ news: inout StandbyNews, because error: LedgerError? = nil) {
        guard let line = news.line(cause) else { return }
        switch cause {
        case .isLed(let address): logger.notice("\(line)", metadata: address.isEmpty ? [:] : ["leader": "\(address)"])
        case .hasNoStore:
            let location = "\(client.configuration.location)"
            logger.warning("\(line)", metadata: ["etcd": "\(location)", "error": "\(error?.description ?? "")"])
        }
    }

    private func otherFleet(as code: LedgerError.Code) -> LedgerError { LedgerError(code, otherFleet.message) }
}

extension CertificateAuthority {
    /// By which gateways see that they are of one fleet.
    var digest: String {
        certificateDigest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
