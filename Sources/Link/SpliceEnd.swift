package import NIOCore
import Synchronization

/// One of two joined channels: passes its bytes to the other, which may live on another event loop.
///
/// What was read and not yet taken by the other channel is bounded: past the bound nothing more is read, so that the sender
/// has to wait. A half-close is passed on as one; when both halves are closed, or one channel breaks, both end. What was
/// written before an end still arrives.
package final class SpliceEnd: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never

    /// Bytes under way from one channel to the other.
    private static let bound = 256 << 10

    private let partner: any Channel
    /// Directions of the pair that have ended; shared by both ends.
    private let ended: SpliceProgress
    private var underWay = 0
    private var readHeld = false

    package init(partner: any Channel, ended: SpliceProgress) {
        self.partner = partner
        self.ended = ended
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        let count = bytes.readableBytes
        underWay += count
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        partner.writeAndFlush(bytes).hop(to: context.eventLoop).whenComplete { _ in
            let (end, context) = bound.value
            end.delivered(count, context: context)
        }
    }

    private func delivered(_ count: Int, context: ChannelHandlerContext) {
        underWay -= count
        guard readHeld, underWay < Self.bound else { return }
        readHeld = false
        context.read()
    }

    package func read(context: ChannelHandlerContext) {
        if underWay < Self.bound { context.read() } else { readHeld = true }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        let (channel, partner, ended) = (context.channel, partner, ended)
        // A socket that is closed drops what was not written yet; an empty write is done only behind it.
        partner.writeAndFlush(ByteBuffer()).flatMap { partner.close(mode: .output) }.whenComplete { _ in
            guard ended.end() else { return }
            partner.close(promise: nil)
            channel.close(promise: nil)
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func channelInactive(context: ChannelHandlerContext) {
        let partner = partner
        partner.writeAndFlush(ByteBuffer()).whenComplete { _ in partner.close(promise: nil) }
    }
}

/// How many of a splice's two directions have ended.
package final class SpliceProgress: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    /// Notes that one has; true when it was the second.
    func end() -> Bool { count.add(1, ordering: .relaxed).newValue == 2 }
}
