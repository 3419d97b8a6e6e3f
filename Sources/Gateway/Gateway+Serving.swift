import Fleet
import Ledger
import Link
import Logging
import Session
import Synchronization
import Trust
import Wire

extension Gateway {
    /// Serves one peer's control stream until it ends.
    func serve(_ arrival: Arrival) async {
        if let session = arrival.session { return await serveNode(session) }
        let peer = arrival.peer
        switch peer.link.peer {
        case nil: await serveJoining(peer)
        case let identity?:
            if case .operator = identity.role {
                await serveOperator(peer, identity)
            } else {
                peer.dismiss(GatewayError(.denied, "a gateway has nothing to ask another"))
            }
        }
    }

    /// Runs a request beside others and answers it: with what `body` gives, or with why not.
    func answer(
        _ envelope: Lighter_V1_Envelope, of peer: ControlPeer, in group: inout DiscardingTaskGroup,
        _ body: @escaping @Sendable () async throws -> Lighter_V1_Envelope.OneOf_Body
    ) {
        group.addTask {
            defer { peer.finished() }
            do {
                peer.reply(to: envelope.request, try await body())
            } catch {
                peer.reply(to: envelope.request, .failure(self.failure(of: error)))
            }
        }
    }

    /// An error as a peer may see it: what is not meant for peers is logged here and named only.
    func failure(of error: any Error) -> Lighter_V1_Failure {
        if let error = error as? GatewayError { return Lighter_V1_Failure(error) }
        if let error = error as? WireError { return Lighter_V1_Failure(GatewayError(.invalid, error.message)) }
        if let error = error as? LedgerError, error.code == .conflict {
            return Lighter_V1_Failure(GatewayError(.invalid, error.message))
        }
        logger.error("a request failed", metadata: ["error": "\(error)"])
        return Lighter_V1_Failure(GatewayError(.unavailable, "the gateway cannot do this now; look into its log"))
    }

    // MARK: - Nodes

    /// A node's messages as they come, on its event loop: what needs no task of its own is dealt with here, at once.
    ///
    /// - Returns: false for what is left to `serveNode`.
    func take(_ envelope: Lighter_V1_Envelope, of session: AgentSession) -> Bool {
        let outcome: SessionIntake.Outcome
        switch envelope.body {
        case .hello:
            session.intake { $0.hello() }
            return false
        case .report(let report):
            session.expect()
            outcome = session.intake { $0.take(report) }
        case .heartbeat(let heartbeat): outcome = session.intake { $0.take(heartbeat) }
        default: return false
        }
        switch outcome {
        case .refuse: return false
        case .wait: break
        case .record(let work): begin(work, of: session)
        case .answer(let heartbeat):
            take(heartbeat, of: session)
            session.peer.finished()
        }
        return true
    }

    func begin(_ work: SessionIntake.Work?, of session: AgentSession) {
        switch work {
        case .changes(let changes)?: reports.add(.init(session: session, reports: changes))
        case .full(let report)?:
            var envelope = Lighter_V1_Envelope()
            envelope.report = report
            session.peer.enqueue(envelope)
        case nil: break
        }
    }

    private func serveNode(_ session: AgentSession) async {
        let (peer, node) = (session.peer, session.node)
        var isKnown = false
        await withDiscardingTaskGroup { group in
            for await envelope in peer.envelopes {
                guard let body = envelope.body else {
                    peer.finished()
                    continue
                }
                if case .hello(let hello) = body {
                    isKnown = await greet(session, hello)
                    peer.finished()
                } else if !isKnown {
                    peer.finished()
                    peer.dismiss(GatewayError(.invalid, "a node says Hello first"))
                } else {
                    await take(body, envelope, of: session, in: &group)
                }
            }
            group.cancelAll()
        }
        registry.detach(session)
        if isKnown { logger.info("a node left", metadata: ["node": "\(node)"]) }
    }

    /// For how long a node that is too many is sent away; it draws up to half of that more itself.
    private static let crowdedWait = Duration.seconds(4)

    /// Whether the node is in from here on.
    private func greet(_ session: AgentSession, _ hello: Lighter_V1_Hello) async -> Bool {
        let crowd = greetings.add(1, ordering: .relaxed).newValue
        defer { greetings.subtract(1, ordering: .relaxed) }
        guard crowd <= configuration.greetings else {
            var error = GatewayError(.unavailable, "too many nodes are arriving at once; come back in a few seconds")
            error.retryAfter = Self.crowdedWait
            session.peer.dismiss(error)
            return false
        }
        var node: Node
        do {
            var message = hello.node
            message.id = session.node.name
            message.tenant = session.tenant.name
            node = try message.domain()
        } catch {
            session.peer.dismiss(GatewayError(.invalid, "the node's Hello cannot be read: \(error)"))
            return false
        }
        node.reserved = .none
        node.drainedSince = nil
        node.losses = nil
        node.opinion = nil
        if let known = registry[node.id], known.tenant != node.tenant {
            session.peer.dismiss(GatewayError(.denied, "node \(node.id) belongs to another tenant"))
            return false
        }
        do { try await ledger.upsertNode(node) } catch {
            // The node can be served without: the ledger learns of it at its next Hello.
            logger.error("a node was not recorded", metadata: ["node": "\(node.id)", "error": "\(error)"])
        }
        session.begin(
            resuming: hello.fleetEpoch == registry.epoch ? hello.fleetRevision : nil, unpacks: hello.unpacks,
            knowsItself: hello.knowsItself)
        if let older = registry.attach(session, node) {
            logger.warning("a node connected again; its older session is closed", metadata: ["node": "\(node.id)"])
            older.peer.dismiss(
                GatewayError(.denied, "node \(node.id) connected from elsewhere; is its certificate on two machines?"))
        }
        session.peer.link.expectWord(every: configuration.heartbeat * 3)
        session.peer.send(.welcome(welcome()))
        registry.push(to: session)
        let held = session.intake { $0.greeted() }
        for heartbeat in held.heartbeats {
            take(heartbeat, of: session)
            session.peer.finished()
        }
        begin(held.work, of: session)
        logger.info("a node arrived", metadata: ["node": "\(node.id)", "version": "\(hello.version)"])
        return true
    }

    private func take(
        _ body: Lighter_V1_Envelope.OneOf_Body, _ envelope: Lighter_V1_Envelope, of session: AgentSession,
        in group: inout DiscardingTaskGroup
    ) async {
        switch body {
        case .report(let report):
            await record(full: report, of: session)
            session.peer.finished()
            begin(session.intake { $0.recorded() }, of: session)
        case .probeReport(let report):
            take(report, of: session)
            session.peer.finished()
        case .drainReport(let report):
            take(report, of: session)
            session.peer.finished()
        case .placeRequest(let request):
            answer(envelope, of: session.peer, in: &group) { try await self.place(request, for: session) }
        case .abandonRequest(let request):
            answer(envelope, of: session.peer, in: &group) { try await self.abandon(request, for: session) }
        case .ticketRequest(let request):
            answer(envelope, of: session.peer, in: &group) { try await self.ticket(request, for: session) }
        case .renewRequest(let request):
            answer(envelope, of: session.peer, in: &group) { try self.renew(request, for: session) }
        default:
            // Of a later version, or not a node's to ask.
            if envelope.request != 0 {
                session.peer.reply(
                    to: envelope.request,
                    .failure(.init(GatewayError(.invalid, "this gateway does not answer that to a node"))))
            }
            session.peer.finished()
        }
    }
}
