internal import Glibc
package import Logging
package import NIOCore
import NIOPosix
package import NIOSSL

/// Where links come from: dialled, accepted, or laid over a channel that exists.
package enum Link {
    /// Dials `address`.
    ///
    /// The link is there when TLS is done, the peer is known and has answered: a server that refuses this end's
    /// certificate fails the future. Fails with `LinkError`.
    /// - Parameter timeout: for the TCP connection; TLS has `configuration.handshakeTimeout` after that.
    package static func connect(
        to address: SocketAddress, tls: NIOSSLContext, on loop: any EventLoop, timeout: TimeAmount,
        configuration: LinkConfiguration = .init(), logger: Logger, accept: @escaping StreamAcceptor
    ) -> EventLoopFuture<LinkConnection> {
        ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpUserTimeout, value: configuration.userTimeout)
            .channelOption(.tcpKeepAliveIdle, value: configuration.socketIdle)
            .channelOption(.tcpKeepAliveInterval, value: configuration.socketInterval)
            .channelInitializer(tune)
            .connect(to: address)
            .flatMapErrorThrowing { throw LinkHandshake.explain($0) }
            .flatMap {
                attach(
                    to: $0, role: .client, tls: tls, configuration: configuration.onSocket, logger: logger,
                    accept: accept)
            }
    }

    /// Makes a link of `channel`, at the end of its pipeline: a stream of another link, or an accepted socket.
    ///
    /// Called on the channel's event loop, the handlers are in place when this returns: bytes that were read before
    /// can then be fired into the pipeline. The channel is the link's from now on; on failure it is closed.
    package static func attach(
        to channel: any Channel, role: LinkRole, tls: NIOSSLContext, configuration: LinkConfiguration = .init(),
        logger: Logger, accept: @escaping StreamAcceptor
    ) -> EventLoopFuture<LinkConnection> {
        let established = channel.eventLoop.makePromise(of: LinkConnection.self)
        let install: @Sendable () -> Void = {
            do {
                // A link has no use for half of a connection: its end is the link's end.
                try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
                let handshake = LinkHandshake(
                    role: role, configuration: configuration, logger: logger, acceptor: accept,
                    established: established)
                let security: NIOSSLHandler =
                    switch role {
                    case .client: try NIOSSLClientHandler(context: tls, serverHostname: nil)
                    case .server: NIOSSLServerHandler(context: tls)
                    }
                try channel.pipeline.syncOperations.addHandlers(security, handshake)
            } catch {
                established.fail(LinkHandshake.explain(error))
                channel.close(promise: nil)
            }
        }
        if channel.eventLoop.inEventLoop { install() } else { channel.eventLoop.execute(install) }
        return established.futureResult
    }

    /// Makes a link of `channel` without TLS: for tests and for speaking to other implementations of yamux.
    package static func attachPlain(
        to channel: any Channel, role: LinkRole, configuration: LinkConfiguration = .init(), logger: Logger,
        accept: @escaping StreamAcceptor
    ) -> EventLoopFuture<LinkConnection> {
        let loop = channel.eventLoop
        let install: @Sendable () throws -> LinkConnection = {
            let handler = LinkHandler(
                role: role, configuration: configuration, logger: logger, measures: LinkMeasures(), eventLoop: loop,
                acceptor: accept)
            let link = LinkConnection(peer: nil, handler: handler, eventLoop: loop)
            handler.connection = link
            try channel.pipeline.syncOperations.addHandler(handler)
            return link
        }
        return loop.inEventLoop ? loop.makeCompletedFuture(withResultOf: install) : loop.submit(install)
    }

    /// Listens for links.
    ///
    /// - Parameters:
    ///   - tls: asked for each connection, so that renewed certificates take effect.
    ///   - connected: called on the link's event loop, once its peer is known.
    /// - Returns: the listening channel; closing it ends the listening, not the links.
    package static func listen(
        on host: String, port: Int, tls: @escaping @Sendable () throws -> NIOSSLContext,
        group: any EventLoopGroup, configuration: LinkConfiguration = .init(), logger: Logger,
        accept: @escaping StreamAcceptor, connected: @escaping @Sendable (LinkConnection) -> Void
    ) -> EventLoopFuture<any Channel> {
        let door = LinkDoor(
            configuration: configuration.onSocket, logger: logger, tls: tls, accept: accept, connected: connected)
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpUserTimeout, value: configuration.userTimeout)
            .childChannelInitializer { channel in
                tune(channel).flatMap { door.enter(channel) }
            }
            .bind(host: host, port: port)
    }

    /// Keeps little between the streams' fair turns and the wire, so that small messages need not queue behind bulk.
    private static let tune: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
        channel.setOption(
            .writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 512 << 10))
    }
}

extension ChannelOption where Self == ChannelOptions.Types.SocketOption {
    /// For how many milliseconds the kernel sends what the peer's kernel does not acknowledge; then the connection ends.
    fileprivate static var tcpUserTimeout: Self {
        .init(level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_USER_TIMEOUT))
    }
    /// After how many seconds of silence the kernel asks the peer's.
    fileprivate static var tcpKeepAliveIdle: Self {
        .init(level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_KEEPIDLE))
    }
    /// After how many seconds without an answer it asks again.
    fileprivate static var tcpKeepAliveInterval: Self {
        .init(level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_KEEPINTVL))
    }
}

extension LinkConfiguration {
    /// In milliseconds: as long as it takes to know a silent peer by pings.
    fileprivate var userTimeout: SocketOptionValue {
        SocketOptionValue((keepAlive + keepAliveTimeout) / .milliseconds(1))
    }
    fileprivate var socketIdle: SocketOptionValue { Self.kernelSeconds(idleKeepAlive) }
    fileprivate var socketInterval: SocketOptionValue { Self.kernelSeconds(keepAliveTimeout) }

    /// The kernel keeps a link without streams; that the program behind it answers is asked seldom then.
    fileprivate var onSocket: LinkConfiguration {
        var configuration = self
        configuration.idleKeepAlive = max(idleKeepAlive, .seconds(3600))
        return configuration
    }

    /// As the kernel takes them: 1 to 32767.
    private static func kernelSeconds(_ duration: Duration) -> SocketOptionValue {
        SocketOptionValue(max(1, min(32_767, duration / .seconds(1))))
    }
}
