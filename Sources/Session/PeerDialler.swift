import Fleet
import Link
import Logging
import NIOCore
import Synchronization
import Trust
import Wire

/// Makes a link to a node: directly where one of its addresses answers, else through the gateway.
final class PeerDialler: Sendable {
    /// What it needs to know at each attempt.
    struct Environment: Sendable {
        var credentials: Credentials
        var addresses: [String]
        /// The gateway's link, for relays; nil while it is away.
        var gateway: LinkConnection?
        var roundTrip: Duration?

        /// Whether there is no way to try.
        var isEmpty: Bool { addresses.isEmpty && gateway == nil }
    }

    /// How long a node that could not be dialled is only reached by relay.
    private static let directRetry = TimeAmount.seconds(60)

    private let loop: any EventLoop
    private let logger: Logger
    private let configuration: LinkConfiguration
    private let accept: StreamAcceptor
    private let avoidDirectUntil = Mutex<[NodeID: NIODeadline]>([:])

    init(loop: any EventLoop, logger: Logger, configuration: LinkConfiguration, accept: @escaping StreamAcceptor) {
        self.loop = loop
        self.logger = logger
        self.configuration = configuration
        self.accept = accept
    }

    /// - Returns: the link, and whether it is direct.
    /// - Throws: `.unavailable` saying why each way failed.
    func dial(
        _ node: NodeID, _ environment: Environment
    ) async throws(SessionError) -> (link: LinkConnection, isDirect: Bool) {
        var reasons: [String] = []
        let avoided = avoidDirectUntil.withLock { $0[node] ?? .distantPast } > .now()
        if !environment.addresses.isEmpty, !avoided || environment.gateway == nil {
            do {
                let link = try await direct(node, environment)
                avoidDirectUntil.withLock { $0[node] = nil }
                return (link, true)
            } catch {
                reasons.append("directly: \(error)")
                avoidDirectUntil.withLock { $0[node] = .now() + Self.directRetry }
            }
        }
        if let gateway = environment.gateway {
            do {
                return (try await relayed(node, environment.credentials, through: gateway), false)
            } catch {
                reasons.append("by relay: \(error)")
            }
        } else {
            reasons.append("by relay: the gateway is away")
        }
        // The next attempt looks at the direct way again.
        avoidDirectUntil.withLock { $0[node] = nil }
        throw SessionError(.unavailable, "node \(node) cannot be reached (\(reasons.joined(separator: "; ")))")
    }

    private func direct(_ node: NodeID, _ environment: Environment) async throws -> LinkConnection {
        var addresses: [SocketAddress] = []
        var failure: (any Error)?
        for text in environment.addresses {
            do { addresses += try await Endpoint(text).resolve() } catch { failure = error }
        }
        if addresses.isEmpty, let failure { throw failure }
        let timeout = Self.timeout(for: environment.roundTrip)
        let credentials = environment.credentials
        let link = try await LinkRace.run(addresses, on: loop) { address in
            self.connect(address, to: node, credentials, timeout)
        }.get()
        logger.info("linked to a node", metadata: ["node": "\(node)", "way": "direct"])
        return link
    }

    private func connect(
        _ address: SocketAddress, to node: NodeID, _ credentials: Credentials, _ timeout: TimeAmount
    ) -> EventLoopFuture<LinkConnection> {
        do {
            return Link.connect(
                to: address, tls: try LinkTLS.client(credentials: credentials), on: loop, timeout: timeout,
                configuration: configuration, logger: logger, accept: accept
            ).flatMapThrowing { link in try Self.verified(link, node, credentials) }
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    private func relayed(
        _ node: NodeID, _ credentials: Credentials, through gateway: LinkConnection
    ) async throws -> LinkConnection {
        let tls = try LinkTLS.client(credentials: credentials)
        var open = Lighter_V1_StreamOpen()
        open.relay.node = node.name
        let attached = loop.makePromise(of: LinkConnection.self)
        let timer = loop.scheduleTask(in: .seconds(15)) {
            attached.fail(SessionError(.timedOut, "the relay did not answer in time"))
        }
        defer { timer.cancel() }
        let stream = gateway.openStream(announcing: open) { channel in
            channel.closeFuture.whenComplete { _ in
                attached.fail(SessionError(.unavailable, "the relay was closed before the link stood"))
            }
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    FirstMessageHandler.relayResult { channel, result in
                        guard result.error.isEmpty else {
                            let error = SessionError(.unavailable, result.error)
                            attached.fail(error)
                            return channel.eventLoop.makeFailedFuture(error)
                        }
                        Link.attach(
                            to: channel, role: .client, tls: tls, configuration: self.configuration,
                            logger: self.logger, accept: self.accept
                        ).cascade(to: attached)
                        return channel.eventLoop.makeSucceededVoidFuture()
                    })
            }
        }
        stream.whenFailure { attached.fail($0) }
        do {
            let link = try Self.verified(try await attached.futureResult.get(), node, credentials)
            logger.info("linked to a node", metadata: ["node": "\(node)", "way": "relayed"])
            return link
        } catch {
            stream.whenSuccess { $0.close(promise: nil) }
            throw error
        }
    }

    /// The link, if its other end is the node that was wanted, of the same tenant.
    private static func verified(
        _ link: LinkConnection, _ node: NodeID, _ credentials: Credentials
    ) throws -> LinkConnection {
        do {
            try PeerIdentity.require(node: node, link.peer)
            guard link.peer?.tenant == credentials.tenant else {
                throw SessionError(.denied, "node \(node) belongs to another tenant")
            }
            return link
        } catch {
            link.close(nil)
            throw error
        }
    }

    /// Six round trips, within what a loaded machine needs and what a person waits for.
    private static func timeout(for roundTrip: Duration?) -> TimeAmount {
        guard let roundTrip else { return .seconds(3) }
        let six = TimeAmount(roundTrip * 6)
        return min(max(six, .seconds(1)), .seconds(3))
    }
}
