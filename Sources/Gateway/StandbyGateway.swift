package import Authority
package import Ledger
import Link
package import Logging
package import NIOCore
import Session
import Synchronization
import Trust
import Wire

/// A gateway that waits to lead: it listens where it would serve, shows operators what the ledger holds, and tells whoever wants
/// more which gateway leads.
///
/// Nodes then go on to the next address that they were given. `bind()` once, then `run()` until cancelled.
package final class StandbyGateway: Sendable {
    private let configuration: GatewayConfiguration
    private let identity: GatewayIdentity
    private let authority: CertificateAuthority
    private let ledger: any LedgerReader
    private let group: any EventLoopGroup
    private let logger: Logger
    private let leaderAddress = Mutex<String?>(nil)
    /// Nil once it turns nobody away any more.
    private let links = Mutex<[ObjectIdentifier: LinkConnection]?>([:])
    private let listener = Mutex<(any Channel)?>(nil)
    private let (arrivals, arrived) = AsyncStream.makeStream(of: ControlPeer.self)

    package init(
        configuration: GatewayConfiguration, authority: CertificateAuthority, ledger: any LedgerReader,
        group: any EventLoopGroup, logger: Logger
    ) throws {
        self.authority = authority
        self.ledger = ledger
        self.configuration = configuration
        self.group = group
        self.logger = logger
        identity = try GatewayIdentity(authority)
    }

    /// Where the gateway that leads can be dialled; nil while that is not known.
    package var leader: String? {
        get { leaderAddress.withLock { $0 } }
        set { leaderAddress.withLock { $0 = newValue } }
    }

    /// - Returns: the address, with the port that was chosen where the configuration has 0.
    package func bind() async throws(GatewayError) -> SocketAddress {
        let (channel, address) = try await identity.listen(
            configuration, group, logger, accept: { stream, link in self.accept(stream, link) },
            connected: { link in self.welcome(link) })
        listener.withLock { $0 = channel }
        return address
    }

    /// Turns everybody away until cancelled; when it returns, the address is free again.
    package func run() async {
        await withDiscardingTaskGroup { group in
            await withTaskCancellationHandler {
                for await peer in arrivals { group.addTask { await self.answer(peer) } }
            } onCancel: {
                arrived.finish()
                let open = links.withLock { links in
                    defer { links = nil }
                    return links.map { Array($0.values) } ?? []
                }
                for link in open { link.close(nil) }
            }
            group.cancelAll()
        }
        try? await listener.withLock { $0 }?.close().get()
    }

    /// Shows an operator what it can, and turns all others away: in the answer that they wait for, so that they are told.
    private func answer(_ peer: ControlPeer) async {
        for await envelope in peer.envelopes {
            defer { peer.finished() }
            guard let identity = peer.link.peer, case .operator = identity.role else {
                let refusal = refusal
                peer.reply(to: envelope.request, .failure(Lighter_V1_Failure(refusal)))
                peer.dismiss(refusal)
                continue
            }
            do {
                peer.reply(to: envelope.request, try await shown(envelope.body, to: identity))
            } catch {
                peer.reply(to: envelope.request, .failure(Lighter_V1_Failure(failure(of: error))))
            }
        }
    }

    private func shown(
        _ body: Lighter_V1_Envelope.OneOf_Body?, to peer: PeerIdentity
    ) async throws -> Lighter_V1_Envelope.OneOf_Body {
        let reads = OperatorReads(ledger: ledger, scope: OperatorReads.scope(of: peer))
        switch body {
        case .listWorkloadsRequest(let request): return .listWorkloadsReply(try await reads.list(request))
        case .explainRequest(let request): return .explainReply(try await reads.explain(request))
        case .listNodesRequest: return .listNodesReply(try await nodes(for: peer))
        default: throw refusal
        }
    }

    /// How the nodes are, only the gateway that leads hears.
    private func nodes(for peer: PeerIdentity) async throws -> Lighter_V1_ListNodesReply {
        guard let leader else { throw refusal }
        var reply = Lighter_V1_ListNodesReply()
        do {
            let credentials = try authority.credentials(for: peer, validFor: .seconds(600))
            let client = try await OperatorClient.connect(
                gateway: leader, credentials: credentials, on: group.next(), logger: logger)
            defer { client.close() }
            reply.nodes = try await client.nodes().map(Lighter_V1_NodeMessage.init)
        } catch {
            logger.debug("the leader was not asked", metadata: ["leader": "\(leader)", "error": "\(error)"])
            throw refusal
        }
        return reply
    }

    private func failure(of error: any Error) -> GatewayError {
        if let error = error as? GatewayError { return error }
        if let error = error as? LedgerError { return GatewayError(.unavailable, error.message) }
        logger.error("a request failed", metadata: ["error": "\(error)"])
        return GatewayError(.unavailable, "the gateway cannot do this now; look into its log")
    }

    private var refusal: GatewayError {
        guard let leader else {
            return GatewayError(
                .unavailable, "this gateway is not the leader, and none is known; try again in a moment")
        }
        return GatewayError(.unavailable, "this gateway is not the leader; the leader is \(leader)")
    }

    // MARK: - On event loops

    private func welcome(_ link: LinkConnection) {
        let key = ObjectIdentifier(link)
        let isWelcome = links.withLock { links in
            links?[key] = link
            return links != nil
        }
        // Who was still shaking hands would wait for an answer that nobody gives.
        guard isWelcome else { return link.close(nil) }
        // Long enough to ask and be told.
        let timer = link.eventLoop.scheduleTask(in: .seconds(10)) { link.close(nil) }
        link.closed.whenComplete { _ in
            timer.cancel()
            self.links.withLock { _ = $0?.removeValue(forKey: key) }
        }
    }

    private func accept(_ stream: any Channel, _ link: LinkConnection) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture {
            try stream.pipeline.syncOperations.addHandler(
                FirstMessageHandler.streamOpen { channel, open in
                    guard case .control? = open.kind else {
                        return channel.eventLoop.makeFailedFuture(self.refusal)
                    }
                    return channel.eventLoop.makeCompletedFuture {
                        self.arrived.yield(try ControlPeer.install(on: channel, link: link))
                    }
                })
        }
    }
}
