import Authority
import Fleet
import FoundationEssentials
import Leases
import Ledger
import Link
import Logging
import NIOCore
import Session
import Trust
import Wire

extension Gateway {
    typealias Reply = Lighter_V1_Envelope.OneOf_Body

    /// Chooses a target, commits the lease, signs a ticket. A retry of the same workload gets a newer epoch.
    func place(_ message: Lighter_V1_PlaceRequest, for session: AgentSession) async throws -> Reply {
        var (request, refused) = try message.domain()
        request.tenant = session.tenant
        request.origin = session.node
        guard message.replaces != 0 else {
            try await checkRetry(request)
            return try await place(request, refused: refused, for: session)
        }
        return try await replace(
            request, epoch: message.replaces, isMove: message.moves, refused: refused, for: session)
    }

    /// Gives work of a lost node to another, once nothing of it can run there any more; or work that was stopped to be moved.
    private func replace(
        _ request: WorkloadRequest, epoch: UInt64, isMove: Bool, refused: [NodeID: String], for session: AgentSession
    ) async throws -> Reply {
        let known = try await own(request.id.hex, of: session)
        switch registry.beginReplacing(known, epoch: epoch, margin: configuration.leases.margin, isMove: isMove) {
        case .kept(let reason): throw GatewayError(.conflict, "workload \(request.id) stays: \(reason)")
        case .wait(let nanoseconds):
            var reply = Lighter_V1_PlaceReply()
            reply.waitSeconds = Double(nanoseconds) / 1e9
            let reason = "what node \(known.target) was granted has not run out"
            reply.decision = Lighter_V1_DecisionMessage(
                Decision(workload: request.id, policy: request.policy.kind, target: nil, reason: reason))
            return .placeReply(reply)
        case .granted: break
        }
        defer { registry.endReplacing(request.id, at: known.target) }
        // Of a newer lease that was given back nothing is anywhere: its node is as good as any.
        guard known.version.epoch == epoch else { return try await place(request, refused: refused, for: session) }
        var refused = refused
        refused[known.target] = isMove ? "it was there before" : "lost: its lease of this workload has run out"
        let reply = try await place(request, refused: refused, for: session)
        // What is moved stays, stopped, until its origin has it elsewhere.
        if !isMove, let now = try await ledger.workload(request.id), now.version.epoch > epoch,
            let former = registry.session(of: known.target, in: known.tenant)
        {
            retire(now, at: former)
        }
        return reply
    }

    private func place(
        _ request: WorkloadRequest, refused: [NodeID: String], for session: AgentSession
    ) async throws -> Reply {
        await recall(request.workKey)
        let reservation = await reserve(request, refused: refused)
        var reply = Lighter_V1_PlaceReply()
        reply.decision = Lighter_V1_DecisionMessage(reservation.decision)
        guard let lease = reservation.lease else { return .placeReply(reply) }
        let placed: Workload
        do {
            placed = try await ledger.place(lease)
        } catch {
            registry.undo(reservation)
            logger.error("a lease was not recorded", metadata: ["workload": "\(lease.id)", "error": "\(error)"])
            throw GatewayError(.unavailable, "the gateway's ledger cannot record a lease now; see the gateway's log")
        }
        registry.committed([placed])
        reply.epoch = placed.version.epoch
        if placed.target != session.node {
            reply.ticket = Data(try sign(placed))
            sendAhead(reply.ticket, to: placed)
            reply.addresses = registry[placed.target]?.addresses ?? []
        }
        logger.debug(
            "placed", metadata: ["workload": "\(placed.id)", "target": "\(placed.target)", "epoch": "\(reply.epoch)"])
        return .placeReply(reply)
    }

    /// Less than a node waits for its answer.
    private static let suspicion = Duration.seconds(1)

    /// Nothing is refused, or kept at its origin against its policy, because of a node that is merely late: it is back, or lost, in
    /// a moment.
    private func reserve(_ request: WorkloadRequest, refused: [NodeID: String]) async -> FleetRegistry.Reservation {
        let end = ContinuousClock.now + Self.suspicion
        while true {
            let reservation = registry.reserve(request, refused: refused, now: Date().timeIntervalSince1970)
            let isStay = reservation.decision.target == request.origin && request.policy.kind == .remote
            guard reservation.lease == nil || isStay, ContinuousClock.now < end, registry.suspects(request.tenant)
            else { return reservation }
            registry.undo(reservation)
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return reservation }
        }
    }

    /// The origin's create may be on its way to the target already, and waits there for the ticket.
    private func sendAhead(_ ticket: Data, to lease: Workload) {
        var push = Lighter_V1_TicketPush()
        push.ticket = ticket
        registry.session(of: lease.target, in: lease.tenant)?.peer.send(.ticketPush(push))
    }

    /// A workload may be placed again by its origin as long as nothing of it has run.
    private func checkRetry(_ request: WorkloadRequest) async throws {
        guard let known = try await ledger.workload(request.id) else { return }
        guard known.tenant == request.tenant, known.origin == request.origin else {
            throw GatewayError(.denied, "workload \(request.id) belongs to another node")
        }
        guard known.state == .pending || known.state == .created else {
            throw GatewayError(.invalid, "workload \(request.id) is \(known.state) at \(known.target); use a new id")
        }
    }

    /// Brings back what the ledger has learned of a kind of work, once after a restart.
    private func recall(_ workKey: String) async {
        guard !workKey.isEmpty, !registry.knowsWork(workKey) else { return }
        guard let known = try? await ledger.estimate(workKey) else { return }
        // The two ends of what is usual, so that both the median and the bad case are there again.
        registry.learn([0.25, 0.5, 0.9].map { (workKey, known.quantile($0)) })
    }

    private func sign(_ workload: Workload) throws -> [UInt8] {
        let now = Date().timeIntervalSince1970
        return try authority.ticketSigner.sign(
            Ticket(
                workload: workload.id, tenant: workload.tenant, origin: workload.origin, target: workload.target,
                epoch: workload.version.epoch, notBefore: now,
                expiresAt: now + (configuration.ticketLife / .seconds(1))))
    }

    func abandon(_ request: Lighter_V1_AbandonRequest, for session: AgentSession) async throws -> Reply {
        let workload = try await own(request.workload, of: session)
        let epoch = request.epoch == 0 ? workload.version.epoch : request.epoch
        try await giveBack(workload.id, epoch: epoch, reason: request.reason)
        return .done(.init())
    }

    func ticket(_ request: Lighter_V1_TicketRequest, for session: AgentSession) async throws -> Reply {
        let workload = try await own(request.workload, of: session)
        guard workload.state != .removed else {
            throw GatewayError(.notFound, "workload \(workload.id) has been removed")
        }
        var reply = Lighter_V1_TicketReply()
        reply.ticket = Data(try sign(workload))
        // The target takes exclusive work only of which the gateway itself has told it.
        if workload.target != session.node { sendAhead(reply.ticket, to: workload) }
        return .ticketReply(reply)
    }

    /// A workload of which the node is the origin; others do not exist for it.
    private func own(_ id: String, of session: AgentSession) async throws -> Workload {
        let id = try Self.workloadID(id)
        guard let workload = try await ledger.workload(id), workload.tenant == session.tenant,
            workload.origin == session.node
        else { throw GatewayError(.notFound, "node \(session.node) has no workload \(id)") }
        return workload
    }

    private static func workloadID(_ text: String) throws(GatewayError) -> WorkloadID {
        do { return try WorkloadID(text) } catch { throw GatewayError(.invalid, "\(error)") }
    }

    private func giveBack(_ id: WorkloadID, epoch: UInt64, reason: String) async throws {
        if let workload = try await ledger.abandon(id, epoch: epoch, reason: String(reason.prefix(500))) {
            registry.committed([workload])
        }
    }

    /// Gives back leases whose container never came.
    func reap() async {
        let limit = configuration.pendingLimit
        for (id, lease) in registry.stale(before: Date().timeIntervalSince1970 - limit / .seconds(1)) {
            do {
                try await giveBack(id, epoch: lease.epoch, reason: "no container within \(limit)")
                logger.info("a lease expired", metadata: ["workload": "\(id)", "target": "\(lease.target)"])
            } catch {
                logger.warning("a lease was not expired", metadata: ["workload": "\(id)", "error": "\(error)"])
            }
        }
    }

    func renew(_ request: Lighter_V1_RenewRequest, for session: AgentSession) throws -> Reply {
        guard let identity = session.peer.link.peer else { throw GatewayError(.denied, "nobody to renew for") }
        let publicKey = Array(request.publicKey)
        guard NodeKey.isValid(proof: Array(request.proof), over: publicKey, publicKeyDER: publicKey) else {
            throw GatewayError(.denied, "the request was not signed by the key that it names")
        }
        var reply = Lighter_V1_RenewReply()
        reply.certificateChain = try authority.issue(
            to: identity, publicKeyDER: publicKey, validFor: configuration.certificateLife)
        reply.caCertificate = authority.certificatePEM
        reply.ticketPublicKey = Data(authority.ticketSigner.publicKey)
        return .renewReply(reply)
    }
}
