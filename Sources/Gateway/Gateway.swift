package import Authority
import Fleet
import FoundationEssentials
import Leases
package import Ledger
import Link
package import Logging
package import NIOCore
import Session
import Synchronization
import Trust
import Wire

/// The control plane: who is in the fleet, what runs where, and the way between nodes that cannot dial each other.
///
/// `bind()` once, then `run()` until cancelled. Its memory is rebuilt from the ledger at init; nothing else is kept.
package final class Gateway: Sendable {
    let configuration: GatewayConfiguration
    let authority: CertificateAuthority
    let identity: GatewayIdentity
    let ledger: any Ledger
    let registry: FleetRegistry
    let group: any EventLoopGroup
    let logger: Logger
    let joins: Mutex<TokenBucket>
    /// Links that stand; true once one has opened its control stream.
    let links = Mutex<[ObjectIdentifier: (link: LinkConnection, hasControl: Bool)]>([:])
    /// Control streams that wait for a task of their own.
    let arrivals: AsyncStream<Arrival>
    let arrived: AsyncStream<Arrival>.Continuation
    let reports = ReportQueue()
    let lessons = Lessons()
    /// Nodes whose Hello is under way.
    let greetings = Atomic<Int>(0)

    /// A control stream; with the session of a node's.
    struct Arrival: Sendable {
        var peer: ControlPeer
        var session: AgentSession?
    }

    /// Groups of reports that are under way at once: while one is being written the next is read.
    private static let recorders = 2

    private let listener = Mutex<(any Channel)?>(nil)

    /// - Throws: what the ledger throws when it cannot be read.
    package init(
        configuration: GatewayConfiguration, authority: CertificateAuthority, ledger: any Ledger,
        group: any EventLoopGroup, logger: Logger
    ) async throws {
        self.configuration = configuration
        self.authority = authority
        self.ledger = ledger
        self.group = group
        self.logger = logger
        identity = try GatewayIdentity(authority)
        var view = FleetView(
            nodes: try await ledger.nodes(), workloads: try await ledger.workloads(includingEnded: false),
            since1970: Date().timeIntervalSince1970, now: .now())
        try await Self.restore(&view, from: ledger)
        registry = FleetRegistry(view: view, formerGrants: try await Self.formerGrants(ledger, configuration.leases))
        joins = Mutex(TokenBucket(capacity: configuration.joinBurst, rate: 2, now: .now()))
        (arrivals, arrived) = AsyncStream.makeStream()
    }

    /// Listens; links are answered from here on, and served once `run()` is called.
    /// - Returns: the address, with the port that was chosen where the configuration has 0.
    package func bind() async throws(GatewayError) -> SocketAddress {
        let (channel, address) = try await identity.listen(
            configuration, group, logger, accept: { stream, link in self.accept(stream, link) },
            connected: { link in self.welcome(link) })
        listener.withLock { $0 = channel }
        return address
    }

    /// Serves until cancelled; then takes no more links and closes those that stand. When it returns, the address is free again.
    package func run() async {
        let heartbeat = TimeAmount(configuration.heartbeat)
        await withDiscardingTaskGroup { group in
            group.addTask {
                // Pushes at once after a quiet time, then at most once an interval.
                let lag = LoopLag(Array(self.group.makeIterator()))
                for await _ in self.registry.changes {
                    var hasMore = true
                    while hasMore, !Task.isCancelled {
                        hasMore = self.registry.push(
                            rankingEvery: TimeAmount(self.configuration.measureInterval), lag: lag.measure())
                        try? await Task.sleep(for: self.configuration.pushInterval)
                    }
                }
            }
            for _ in 0..<Self.recorders {
                group.addTask { while let entries = await self.reports.next() { await self.record(entries) } }
            }
            group.addTask { for await runs in self.lessons.stream { await self.keep(runs) } }
            group.addTask { await self.forgetFormerTerm() }
            group.addTask { await self.every(self.configuration.measureInterval) { self.registry.announce() } }
            group.addTask {
                await self.every(self.configuration.heartbeat / 8) {
                    self.registry.checkHealth(heartbeat: heartbeat)
                    if self.configuration.asksSecondOpinions { self.askAboutLostNodes() }
                }
            }
            group.addTask {
                await self.every(min(.seconds(30), self.configuration.pendingLimit / 4)) { await self.reap() }
            }
            group.addTask { await self.every(.seconds(5)) { await self.keepLosses() } }
            await withTaskCancellationHandler {
                for await arrival in arrivals { group.addTask { await self.serve(arrival) } }
            } onCancel: {
                self.shutDown()
            }
            group.cancelAll()
        }
        try? await listener.withLock { $0 }?.closeFuture.get()
    }

    private static let termSetting = "lease-term"

    /// What gateways before this one may have granted. Kept for the next one is the longer of their term and this one's.
    private static func formerGrants(_ ledger: any Ledger, _ terms: LeaseTerms) async throws -> GrantedLease {
        let (former, own) = (try await formerTerm(ledger), terms.longest / .seconds(1))
        if own > former { try await ledger.setSetting(termSetting, String(own)) }
        let now = NIODeadline.now().uptimeNanoseconds
        return GrantedLease(runsOut: now + UInt64(max(own, former) * 1e9))
    }

    private static func formerTerm(_ ledger: any Ledger) async throws -> Double {
        try await ledger.setting(termSetting).flatMap(Double.init) ?? 0
    }

    /// A term that is longer than this gateway's is forgotten when all of its grants have run out.
    private func forgetFormerTerm() async {
        let own = configuration.leases.longest / .seconds(1)
        do {
            let former = try await Self.formerTerm(ledger)
            guard former > own else { return }
            try await Task.sleep(for: .seconds(former))
            try await ledger.setSetting(Self.termSetting, String(own))
        } catch {
            logger.debug("a former lease term is kept", metadata: ["error": "\(error)"])
        }
    }

    private func every(_ interval: Duration, _ body: () async -> Void) async {
        while !Task.isCancelled {
            await body()
            try? await Task.sleep(for: interval)
        }
    }

    private func shutDown() {
        arrived.finish()
        registry.finish()
        reports.finish()
        lessons.finish()
        listener.withLock { $0 }?.close(promise: nil)
        let open = links.withLock { $0.values.map(\.link) }
        for link in open { link.close(nil) }
    }

    // MARK: - Links and their streams, on event loops

    /// A link stands: it has ten seconds to open its control stream.
    private func welcome(_ link: LinkConnection) {
        let key = ObjectIdentifier(link)
        links.withLock { $0[key] = (link, false) }
        let timer = link.eventLoop.scheduleTask(in: .seconds(10)) {
            guard self.links.withLock({ $0[key]?.hasControl }) == false else { return }
            link.close(LinkError(.timedOut, "the peer opened no control stream"))
        }
        link.closed.whenComplete { _ in
            timer.cancel()
            self.links.withLock { _ = $0.removeValue(forKey: key) }
        }
    }

    private func accept(_ stream: any Channel, _ link: LinkConnection) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture {
            try stream.pipeline.syncOperations.addHandler(
                FirstMessageHandler.streamOpen { channel, open in
                    switch open.kind {
                    case .control: self.acceptControl(channel, link)
                    case .relay(let relay): self.relay(channel, from: link, to: relay.node)
                    default:
                        channel.eventLoop.makeFailedFuture(
                            GatewayError(.invalid, "a gateway takes control and relay streams only"))
                    }
                })
        }
    }

    private func acceptControl(_ channel: any Channel, _ link: LinkConnection) -> EventLoopFuture<Void> {
        let isFirst = links.withLock { links in
            guard let known = links[ObjectIdentifier(link)], !known.hasControl else { return false }
            links[ObjectIdentifier(link)] = (link, true)
            return true
        }
        guard isFirst else {
            return channel.eventLoop.makeFailedFuture(GatewayError(.invalid, "a link has one control stream"))
        }
        return channel.eventLoop.makeCompletedFuture {
            var session: AgentSession?
            let peer = try ControlPeer.install(on: channel, link: link) { peer in
                guard let identity = link.peer, let node = identity.node else { return nil }
                let ofNode = AgentSession(node: node, tenant: identity.tenant, peer: peer)
                session = ofNode
                return { self.take($0, of: ofNode) }
            }
            self.arrived.yield(Arrival(peer: peer, session: session))
        }
    }
}
