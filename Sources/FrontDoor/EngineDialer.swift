internal import Engine
internal import NIOCore

/// Dials the device's own engine, which may have containers under other ids than their users know.
struct EngineDialer: DockerDialer {
    let socket: UnixDialer
    let aliases: AliasSource

    /// Under what its connections may be used again; nil where each is for one exchange.
    var reuseKey: String? { if case .fixed(nil) = aliases { "engine" } else { nil } }

    func dial(
        on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        socket.dial(on: loop) { [aliases] channel in
            AliasHandler.add(aliases, to: channel).flatMap { initializer(channel) }
        }
    }
}
