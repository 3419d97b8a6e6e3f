import Engine
import Fleet
import NIOCore

/// Asks an origin, at every heartbeat, whether its work here is still its own; each answer renews its leases.
final class LeaseStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Questions that may be answered; older ones have run out anyway.
    private static let limit = 16
    private static let answerSize = 16
    /// The longest term that is believed.
    private static let longest: UInt64 = 3_600_000_000_000

    private let origin: NodeID
    private let keeper: LeaseKeeper
    private var asked: [UInt64] = []
    private var inbound = ByteBuffer()
    private var timer: Scheduled<Void>?

    init(origin: NodeID, keeper: LeaseKeeper) {
        self.origin = origin
        self.keeper = keeper
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        NodeLoop.assumeIsolated { [keeper, origin, channel = context.channel] in keeper.keep(channel, of: origin) }
        ask(context)
    }

    private func ask(_ context: ChannelHandlerContext) {
        let (now, interval) = NodeLoop.assumeIsolated { [keeper] in (keeper.now, keeper.configuration.heartbeat()) }
        // An origin that does not read is not asked again until it does.
        if context.channel.isWritable {
            asked.append(now)
            if asked.count > Self.limit { asked.removeFirst() }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(integer: now)), promise: nil)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: interval) {
            let (handler, context) = bound.value
            handler.ask(context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        inbound.writeBuffer(&bytes)
        while inbound.readableBytes >= Self.answerSize,
            let (sentAt, term) = inbound.readMultipleIntegers(as: (UInt64, UInt64).self)
        {
            // What was not asked is no answer, and neither is the same one twice.
            guard let index = asked.firstIndex(of: sentAt), term <= Self.longest else {
                return context.close(promise: nil)
            }
            asked.removeFirst(index + 1)
            NodeLoop.assumeIsolated { [keeper, origin] in keeper.renew(origin, sentAt: sentAt, term: term) }
        }
        inbound.discardReadBytes()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) { end(context) }

    func handlerRemoved(context: ChannelHandlerContext) { end(context) }

    private func end(_ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        NodeLoop.assumeIsolated { [keeper, origin, channel = context.channel] in keeper.forget(channel, of: origin) }
    }
}

extension LeaseKeeper {
    /// The newest stream of an origin is the one that counts.
    func keep(_ stream: any Channel, of origin: NodeID) {
        let old = streams.updateValue(stream, forKey: origin)
        old?.close(promise: nil)
    }

    func forget(_ stream: any Channel, of origin: NodeID) {
        if streams[origin] === stream { streams[origin] = nil }
    }
}
