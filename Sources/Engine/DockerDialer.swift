package import NIOCore
import NIOPosix

/// A way to a Docker API: makes fresh byte channels that speak its HTTP.
package protocol DockerDialer: Sendable {
    /// Opens a channel on `loop`; the initializer runs before the first byte.
    ///
    /// The future fails with an `EngineError` that names the engine and the remedy.
    func dial(
        on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel>
}

/// Dials an engine's Unix socket; half-closure is allowed.
package struct UnixDialer: DockerDialer, Hashable {
    /// The socket's path.
    package let path: String

    package init(path: String) { self.path = path }

    package func dial(
        on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        let path = path
        return ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer(initializer)
            .connect(unixDomainSocketPath: path)
            .flatMapErrorThrowing { throw EngineError.cannotConnect(to: path, cause: $0) }
    }
}
