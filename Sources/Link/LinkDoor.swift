import Logging
import NIOCore
import NIOSSL
import Synchronization

/// Who stands at a listener's door: connections that have not proved yet that they are links are few and short-lived.
final class LinkDoor: Sendable {
    private let configuration: LinkConfiguration
    private let logger: Logger
    private let tls: @Sendable () throws -> NIOSSLContext
    private let accept: StreamAcceptor
    private let connected: @Sendable (LinkConnection) -> Void
    private let crowd: Mutex<Crowd>

    private struct Crowd {
        /// None of those who wait is read from yet.
        var line: DoorLine<EventLoopPromise<Void>>
        /// Turned away since that was last said.
        var turnedAway = 0
        var lastSaid: NIODeadline?
    }

    init(
        configuration: LinkConfiguration, logger: Logger, tls: @escaping @Sendable () throws -> NIOSSLContext,
        accept: @escaping StreamAcceptor, connected: @escaping @Sendable (LinkConnection) -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.tls = tls
        self.accept = accept
        self.connected = connected
        crowd = Mutex(Crowd(line: DoorLine(configuration)))
    }

    /// Starts the handshake on an accepted connection, in its turn; fails, which closes it, when too many wait.
    func enter(_ channel: any Channel) -> EventLoopFuture<Void> {
        let turn = channel.eventLoop.makePromise(of: Void.self)
        let isAdmitted = crowd.withLock { $0.line.enter(turn, now: .now()) }
        switch isAdmitted {
        case true?: turn.succeed()
        case false?: break
        case nil:
            noteTurnedAway()
            turn.fail(LinkError(.tooManyStreams, "too many handshakes are under way; try again in a moment"))
        }
        return turn.futureResult.flatMap { self.shakeHands(channel) }
    }

    /// Said once a second: a fleet that comes back at once is thousands of connections.
    private func noteTurnedAway() {
        let now = NIODeadline.now()
        let count = crowd.withLock { crowd -> Int? in
            crowd.turnedAway += 1
            if let last = crowd.lastSaid, now - last < .seconds(1) { return nil }
            crowd.lastSaid = now
            defer { crowd.turnedAway = 0 }
            return crowd.turnedAway
        }
        guard let count else { return }
        logger.warning(
            "turning connections away: too many handshakes under way",
            metadata: ["limit": "\(configuration.handshakes)", "connections": "\(count)"])
    }

    private func shakeHands(_ channel: any Channel) -> EventLoopFuture<Void> {
        let peer = channel.remoteAddress.map { "\($0)" } ?? "unknown"
        return channel.eventLoop.makeCompletedFuture { try tls() }
            .map { context in
                Link.attach(
                    to: channel, role: .server, tls: context, configuration: self.configuration, logger: self.logger,
                    accept: self.accept
                ).whenComplete { self.leave($0, peer: peer) }
            }
            .flatMapErrorThrowing { error in
                self.leave(.failure(error), peer: peer)
                throw error
            }
    }

    private func leave(_ result: Result<LinkConnection, any Error>, peer: String) {
        let (next, late) = crowd.withLock { $0.line.leave(now: .now()) }
        for turn in late { turn.fail(LinkError(.timedOut, "no handshake could begin in time")) }
        next?.succeed()
        switch result {
        case .success(let link): connected(link)
        case .failure(let error):
            logger.info("a connection did not become a link", metadata: ["from": "\(peer)", "why": "\(error)"])
        }
    }
}
