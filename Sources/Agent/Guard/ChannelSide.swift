import Engine
import NIOCore

/// One end of a splice: what its channel tells. All on the loop.
@NodeLoop
protocol ChannelSide: AnyObject, Sendable {
    /// The channel can be read from.
    func channelActive()
    func received(_ bytes: ByteBuffer)
    func readComplete()
    /// The other side has said all that it will; what we say still reaches it.
    func inputClosed()
    /// Gone in both directions.
    func channelInactive()
    func writabilityChanged()
}

/// Hands a channel's events to its side.
final class ChannelSideHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let side: any ChannelSide

    init(_ side: any ChannelSide) { self.side = side }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let side = side
        // Not at once: a read may deliver bytes before the caller has finished setting up.
        context.eventLoop.execute { NodeLoop.assumeIsolated { side.channelActive() } }
    }

    func channelActive(context: ChannelHandlerContext) {
        let side = side
        NodeLoop.assumeIsolated { side.channelActive() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        let side = side
        NodeLoop.assumeIsolated { side.received(bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        let side = side
        NodeLoop.assumeIsolated { side.readComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        let side = side
        if let event = event as? ChannelEvent, event == .inputClosed {
            NodeLoop.assumeIsolated { side.inputClosed() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let side = side
        NodeLoop.assumeIsolated { side.channelInactive() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let side = side
        NodeLoop.assumeIsolated { side.writabilityChanged() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Nothing more can be said on a broken channel; the inactivity that follows lets go of the rest.
        context.close(promise: nil)
    }
}

extension Channel {
    /// Ends our side of the conversation once everything written has left: a bare `close` would drop it.
    func finishOutput() {
        let channel = self
        writeAndFlush(ByteBuffer()).flatMap { channel.close(mode: .output) }.whenFailure { _ in
            channel.close(promise: nil)
        }
    }

    /// Closes wholly once everything written has left.
    func finish() {
        let channel = self
        writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }
}
