package import Link
package import NIOCore
package import Wire

/// Sends a stream's first message before anything else, then steps out of its pipeline.
final class StreamAnnouncement: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias OutboundOut = ByteBuffer

    private let bytes: ByteBuffer

    init(_ bytes: ByteBuffer) { self.bytes = bytes }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        announce(context: context)
        leave(context: context)
    }

    func channelActive(context: ChannelHandlerContext) {
        // First in the pipeline: the message is out before any other handler hears that the stream is open.
        announce(context: context)
        context.fireChannelActive()
        // Last: a handler that has left passes nothing on.
        leave(context: context)
    }

    private func announce(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    private func leave(context: ChannelHandlerContext) {
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

extension LinkConnection {
    /// Opens a stream whose first bytes are `message`; it travels with the stream's first packet.
    package func openStream(
        announcing message: Lighter_V1_StreamOpen,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        let bytes: [UInt8]
        do {
            bytes = try Framing.encode(message, limit: 64 << 10)
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
        return openStream { channel in
            channel.eventLoop.makeCompletedFuture {
                let buffer = channel.allocator.buffer(bytes: bytes)
                try channel.pipeline.syncOperations.addHandler(StreamAnnouncement(buffer))
            }.flatMap { initializer(channel) }
        }
    }
}
