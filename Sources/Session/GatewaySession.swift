import FoundationEssentials
package import Fleet
package import Link
package import Logging
package import NIOCore
import Synchronization
package import Trust
import Wire

/// A node's session with its gateway, and its links to the other nodes.
///
/// Every socket and stream lives on the loop given at init; the methods may be called from anywhere.
package final class GatewaySession: ControlPlane {
    /// The connection to the gateway that stands now.
    struct Connection: Sendable {
        var control: ControlStream
        var link: LinkConnection { control.link }
        /// Whether the gateway's Welcome has come.
        var isWelcome = false
    }

    /// A report of all that is here, on its way.
    struct Confirmation: Sendable {
        var report: UInt64
        var mark: LeaseMark
        var sent: NIODeadline
    }

    struct State: ~Copyable {
        var credentials: Credentials
        var snapshot = FleetSnapshot()
        /// A full push of which a part is missing yet.
        var assembling: FleetSnapshot?
        /// The epoch that the snapshot's revision belongs to, and that of the gateway which said welcome last.
        var fleetEpoch: UInt64 = 0
        var welcomeEpoch: UInt64 = 0
        var gatewayPolicy = PolicyOverrides()
        var connection: Connection?
        var outbox: Outbox
        /// Smoothed from heartbeats, in seconds.
        var roundTrip: Double?
        var heartbeat = TimeAmount.seconds(1)
        var leaseTerm = Duration.milliseconds(2500)
        var lastHeartbeatAck = NIODeadline.now()
        var telling = HeartbeatTelling()
        /// The full report whose acknowledgement confirms leases.
        var confirming: Confirmation?
        var saidClockIsOff = false
        var clockLead: Double?
        /// Direct addresses that came with placements, newer than the snapshot's.
        var hints: [NodeID: [String]] = [:]
        /// To be given back.
        var owed = OwedLeases()
        /// Direct addresses of an earlier run, until the gateway says better.
        var known: KnownAddresses
    }

    /// How long after its start a node that is not known yet is waited for, rather than called unreachable.
    static let settling = TimeAmount.seconds(3)

    package let node: NodeID
    package let tenant: TenantID
    let configuration: SessionConfiguration
    let gateways: [Endpoint]
    let loop: any EventLoop
    let logger: Logger
    let links: PeerLinks
    let dialler: PeerDialler
    let accept: StreamAcceptor
    let state: Mutex<State>
    /// Done when the first snapshot has come, or has been waited for long enough.
    let settled: EventLoopPromise<Void>

    /// - Parameters:
    ///   - loop: where all sockets and streams of this session live.
    ///   - serve: serves the streams that peers open (the guard).
    /// - Throws: `.credentials` when the directory holds none that can be used, `.invalid` for a bad address or a state
    ///   directory that cannot be written.
    package init(
        configuration: SessionConfiguration, loop: any EventLoop, logger: Logger,
        serve: @escaping PeerStreamHandler
    ) throws(SessionError) {
        let credentials: Credentials
        do {
            credentials = try Credentials.load(from: configuration.credentialsDirectory)
        } catch {
            throw SessionError(.credentials, "this node has no usable credentials", cause: error)
        }
        guard let node = credentials.node else {
            throw SessionError(.credentials, "these are the \(credentials); join the fleet as a node")
        }
        guard !configuration.gateways.isEmpty else {
            throw SessionError(.invalid, "no gateway is configured; give at least one HOST:PORT")
        }
        var gateways: [Endpoint] = []
        for text in configuration.gateways { gateways.append(try Endpoint(text)) }
        self.node = node
        tenant = credentials.tenant
        self.configuration = configuration
        self.gateways = gateways
        self.loop = loop
        self.logger = logger
        links = PeerLinks(loop: loop)
        accept = PeerStreams.acceptor(tenant: credentials.tenant, serve: serve)
        dialler = PeerDialler(loop: loop, logger: logger, configuration: configuration.link, accept: accept)
        let sequence = try SequenceReservation(directory: configuration.stateDirectory)
        let known = KnownAddresses(directory: configuration.stateDirectory)
        settled = loop.makePromise()
        state = Mutex(State(credentials: credentials, outbox: Outbox(sequence: sequence), known: known))
    }

    deinit { settled.succeed() }

    package var snapshot: FleetSnapshot { state.withLock { $0.snapshot } }
    package var gatewayPolicy: PolicyOverrides { state.withLock { $0.gatewayPolicy } }
    /// How often this node beats, as the gateway wants it.
    package var heartbeatInterval: TimeAmount { state.withLock { $0.heartbeat } }
    package var leaseTerm: Duration { state.withLock { $0.leaseTerm } }
    package var isConnected: Bool { state.withLock { $0.connection?.isWelcome ?? false } }
    /// The credentials in use; they change when the certificate is renewed.
    package var credentials: Credentials { state.withLock { $0.credentials } }

    package func existingLink(to node: NodeID) -> LinkConnection? { links.existing(to: node) }

    package func link(to node: NodeID) async throws(SessionError) -> LinkConnection {
        guard node != self.node else { throw SessionError(.invalid, "\(node) is this node; no link is needed") }
        do {
            return try await links.link(to: node) { try await self.dial(node) }
        } catch let error as SessionError {
            throw error
        } catch {
            throw SessionError(.unavailable, "node \(node) cannot be reached", cause: error)
        }
    }

    /// A daemon that has just started knows little of the fleet: it tries what it remembers, then what the gateway says.
    private func dial(_ node: NodeID) async throws -> LinkConnection {
        let remembered = surroundings(of: node)
        if remembered.isEmpty {
            try await settled.futureResult.get()
        } else {
            do {
                return try await dial(node, remembered)
            } catch {
                guard remembered.gateway == nil else { throw error }
                try await settled.futureResult.get()
                guard surroundings(of: node).gateway != nil else { throw error }
            }
        }
        return try await dial(node, surroundings(of: node))
    }

    private func dial(_ node: NodeID, _ environment: PeerDialler.Environment) async throws -> LinkConnection {
        let (link, isDirect) = try await dialler.dial(node, environment)
        guard isDirect else { return link }
        let news = state.withLock { state in
            state.known.note(environment.addresses, of: node) ? state.known : nil
        }
        do { try news?.save() } catch {
            logger.warning("a node's address was not kept for the next start", metadata: ["error": "\(error)"])
        }
        return link
    }

    private func surroundings(of node: NodeID) -> PeerDialler.Environment {
        state.withLock { state in
            var addresses = state.snapshot[node]?.addresses ?? []
            addresses += (state.hints[node] ?? []).filter { !addresses.contains($0) }
            if addresses.isEmpty { addresses = state.known[node] }
            let gateway = state.connection?.link
            return PeerDialler.Environment(
                credentials: state.credentials, addresses: addresses, gateway: gateway, roundTrip: gateway?.rtt)
        }
    }

    // MARK: - Requests

    package func place(
        _ request: WorkloadRequest, refused: [NodeID: String]
    ) async throws(SessionError) -> Placed {
        state.withLock { $0.owed.remove(request.id) }
        let wasConnected = isConnected
        do {
            return try await place(.init(request, refused: refused))
        } catch {
            // The gateway may have placed it all the same.
            if wasConnected, error.leavesOpen {
                owe(request.id, epoch: 0, reason: "the answer to its placement was lost")
            }
            throw error
        }
    }

    package func replace(
        _ request: WorkloadRequest, epoch: UInt64, isMove: Bool, refused: [NodeID: String]
    ) async throws(SessionError) -> Placed {
        state.withLock { $0.owed.remove(request.id) }
        var message = Lighter_V1_PlaceRequest(request, refused: refused)
        message.replaces = epoch
        message.moves = isMove
        return try await place(message)
    }

    private func place(_ message: Lighter_V1_PlaceRequest) async throws(SessionError) -> Placed {
        tellAll()
        guard case .placeReply(let reply) = try await ask(.placeRequest(message)) else { throw Self.unexpected }
        do {
            let decision = try reply.decision.domain()
            if let target = decision.target, !reply.addresses.isEmpty {
                state.withLock { $0.hints[target] = reply.addresses }
            }
            return Placed(
                decision: decision, epoch: reply.epoch, ticket: Array(reply.ticket), addresses: reply.addresses,
                wait: reply.waitSeconds > 0 ? .seconds(min(reply.waitSeconds, 3600)) : nil)
        } catch {
            throw SessionError(.malformed, "the gateway's placement cannot be read", cause: error)
        }
    }

    package func abandon(_ workload: WorkloadID, epoch: UInt64, reason: String) async {
        do {
            try await giveBack(workload, epoch: epoch, reason: reason)
        } catch {
            logger.info("a lease was not given back", metadata: ["workload": "\(workload)", "error": "\(error)"])
            if error.leavesOpen { owe(workload, epoch: epoch, reason: reason) }
        }
    }

    private func giveBack(_ workload: WorkloadID, epoch: UInt64, reason: String) async throws(SessionError) {
        var request = Lighter_V1_AbandonRequest()
        request.workload = workload.hex
        request.epoch = epoch
        request.reason = reason
        _ = try await ask(.abandonRequest(request))
    }

    private func owe(_ workload: WorkloadID, epoch: UInt64, reason: String) {
        state.withLock { $0.owed.add(workload, epoch: epoch, reason: reason, now: .now()) }
    }

    /// Gives back what could not be given back, until the gateway has heard of it.
    func settleLeases() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(2)) } catch { return }
            for lease in state.withLock({ $0.owed.due(.now()) }) where state.withLock({ $0.owed.contains(lease) }) {
                var isKnown = true
                do throws(SessionError) {
                    try await giveBack(lease.workload, epoch: lease.epoch, reason: lease.reason)
                } catch {
                    if error.leavesOpen { break }
                    isKnown = error.code != .notFound
                }
                state.withLock { $0.owed.told(lease, isKnown: isKnown, now: .now()) }
            }
        }
    }

    package func report(_ rows: [DrainedWorkload], atDrained node: NodeID, withState: Bool) {
        guard let connection = state.withLock({ $0.connection }), connection.isWelcome else { return }
        var message = Lighter_V1_DrainReport()
        message.node = node.name
        message.rows = rows.map(Lighter_V1_DrainRow.init)
        message.withState = withState
        connection.control.send(.drainReport(message))
    }

    package func ticket(for workload: WorkloadID) async throws(SessionError) -> [UInt8] {
        var request = Lighter_V1_TicketRequest()
        request.workload = workload.hex
        guard case .ticketReply(let reply) = try await ask(.ticketRequest(request)) else { throw Self.unexpected }
        return Array(reply.ticket)
    }

    /// Asks the gateway, if the session stands; waits two seconds, or eight round trips where they are longer.
    func ask(_ body: ControlStream.Body) async throws(SessionError) -> ControlStream.Body {
        let (connection, roundTrip) = state.withLock { ($0.connection, $0.roundTrip) }
        guard let connection, connection.isWelcome else {
            throw SessionError(.unavailable, "the gateway is away; it is being dialled")
        }
        let patience = max(2, 8 * (roundTrip ?? 0))
        return try await connection.control.request(body, timeout: .nanoseconds(Int64(patience * 1e9)))
    }

    static var unexpected: SessionError {
        SessionError(.malformed, "the gateway's answer is not one to this question; do both run the same version?")
    }
}
