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
    private let standing = Mutex(0)

    init(
        configuration: LinkConfiguration, logger: Logger, tls: @escaping @Sendable () throws -> NIOSSLContext,
        accept: @escaping StreamAcceptor, connected: @escaping @Sendable (LinkConnection) -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.tls = tls
        self.accept = accept
        self.connected = connected
    }

    /// Starts the handshake on an accepted connection; fails, which closes it, when too many are at it.
    func enter(_ channel: any Channel) -> EventLoopFuture<Void> {
        let admitted = standing.withLock { count in
            guard count < configuration.handshakes else { return false }
            count += 1
            return true
        }
        guard admitted else {
            logger.warning(
                "turning a connection away: too many handshakes under way",
                metadata: ["limit": "\(configuration.handshakes)"])
            return channel.eventLoop.makeFailedFuture(
                LinkError(.tooManyStreams, "too many handshakes are under way; try again in a moment"))
        }
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
        standing.withLock { $0 -= 1 }
        switch result {
        case .success(let link): connected(link)
        case .failure(let error):
            logger.info("a connection did not become a link", metadata: ["from": "\(peer)", "why": "\(error)"])
        }
    }
}
