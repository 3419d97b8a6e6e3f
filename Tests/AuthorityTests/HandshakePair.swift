import NIOCore
import NIOEmbedded
import NIOSSL
import Trust

/// A client's and a server's TLS, joined in memory: what one sends, the other receives at once.
struct HandshakePair {
    struct Side {
        var channel: EmbeddedChannel
        var handler: NIOSSLHandler
        var outcome: Outcome

        /// Who the other side is, once the handshake is done.
        func peer() throws -> PeerIdentity? { try LinkTLS.peerIdentity(of: handler) }

        /// What the first error means.
        func failure(_ credentials: Credentials? = nil, now: Double) -> TrustError? {
            outcome.errors.first.map { LinkTLS.explain($0, handler: handler, credentials: credentials, now: now) }
        }
    }

    /// What a side saw at the end of its pipeline.
    final class Outcome: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var errors: [any Error] = []
        /// Whether the other side's greeting arrived: it is encrypted, so the handshake is done.
        var isEstablished = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            isEstablished = unwrapInboundIn(data) == ByteBuffer(string: "hello")
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }
    }

    let client: Side
    let server: Side

    /// Shakes hands until nothing more is said.
    init(client: NIOSSLContext, server: NIOSSLContext) throws {
        self.client = try Self.side(NIOSSLClientHandler(context: client, serverHostname: nil))
        self.server = try Self.side(NIOSSLServerHandler(context: server))
        try start()
    }

    /// Whether both ends are done and bytes pass both ways.
    var isEstablished: Bool {
        client.outcome.isEstablished && server.outcome.isEstablished && client.outcome.errors.isEmpty
            && server.outcome.errors.isEmpty
    }

    private static func side(_ handler: NIOSSLHandler) throws -> Side {
        let outcome = Outcome()
        return Side(channel: EmbeddedChannel(handlers: [handler, outcome]), handler: handler, outcome: outcome)
    }

    private func start() throws {
        for side in [server, client] {
            side.channel.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
            side.channel.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        }
        try Self.exchange(client.channel, server.channel)
    }

    /// Carries what each side wants to send to the other until both are silent.
    static func exchange(_ a: EmbeddedChannel, _ b: EmbeddedChannel) throws {
        var isMoving = true
        while isMoving {
            isMoving = false
            for (from, to) in [(a, b), (b, a)] {
                from.embeddedEventLoop.run()
                while let bytes = try from.readOutbound(as: ByteBuffer.self) {
                    isMoving = true
                    // A failed handshake is thrown here too; the outcome has it.
                    _ = try? to.writeInbound(bytes)
                    to.embeddedEventLoop.run()
                }
            }
        }
    }
}
