import NIOCore
import Synchronization

/// One of a relay's two streams: passes its bytes to the other, which may live on another event loop.
///
/// What was read and not yet taken by the other stream is bounded: past the bound nothing more is read, and the sender's
/// window stays closed. A half-close is passed on as one; when both halves are closed, or one stream breaks, both end.
final class RelayEnd: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    /// Bytes under way from one stream to the other.
    private static let bound = 256 << 10

    private let partner: any Channel
    /// Directions of the pair that have ended; shared by both ends.
    private let ended: RelayProgress
    private var underWay = 0
    private var readHeld = false

    init(partner: any Channel, ended: RelayProgress) {
        self.partner = partner
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
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

    func read(context: ChannelHandlerContext) {
        if underWay < Self.bound { context.read() } else { readHeld = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        // Behind the bytes that were written before, in the partner's order.
        partner.close(mode: .output, promise: nil)
        if ended.end() {
            partner.close(promise: nil)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) { partner.close(promise: nil) }
}

/// How many of a relay's two directions have ended.
final class RelayProgress: Sendable {
    private let count = Atomic<Int>(0)

    /// Notes that one has; true when it was the second.
    func end() -> Bool { count.add(1, ordering: .relaxed).newValue == 2 }
}
