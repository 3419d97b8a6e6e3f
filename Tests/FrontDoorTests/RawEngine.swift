import NIOCore
import NIOPosix

/// An engine whose every byte is the test's: each connection is handed out as it was accepted.
final class RawEngine: Sendable {
    private let server: any Channel
    private let asked: AsyncStream<Peer>

    init(path: String) async throws {
        let (asked, inlet) = AsyncStream<Peer>.makeStream()
        self.asked = asked
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PingAnswerer(inlet))
                }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    struct Gone: Error {}

    /// The next connection with a request, and that request's head.
    func call() async throws -> (Peer, String) {
        for await peer in asked { return (peer, try await peer.receiveHead()) }
        throw Gone()
    }

    func stop() async { try? await server.close() }
}

/// Answers pings, which come when the front door wants to, and hands out a connection at its first other bytes.
private final class PingAnswerer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let inlet: AsyncStream<Peer>.Continuation
    private var isHandedOut = false

    init(_ inlet: AsyncStream<Peer>.Continuation) { self.inlet = inlet }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let ping = Array("GET /_ping".utf8)
        if !isHandedOut, unwrapInboundIn(data).readableBytesView.starts(with: ping) {
            let answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Length: 2\r\n\r\nOK"
            return context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
        if !isHandedOut {
            isHandedOut = true
            do { inlet.yield(try Peer.adopt(context.channel)) } catch { context.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }
}
