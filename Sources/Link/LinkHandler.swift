import Fleet
import Logging
import NIOCore
import Trust

/// The end of a link's pipeline: cuts received bytes into frames, asks `Session` what they mean, feeds the streams'
/// channels, and sends what `Session` says is next.
final class LinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        case idle
        case open
        /// Saying go-away; nothing is received any more.
        case closing
        case closed
    }

    /// The data frame under way.
    struct Incoming {
        var stream: UInt32
        var delivers: Bool
        var ends: Bool
        var channel: StreamChannel?
    }

    var configuration: LinkConfiguration
    let logger: Logger
    let acceptor: StreamAcceptor
    let measures: LinkMeasures
    let firstFrame: EventLoopPromise<Void>
    let closedPromise: EventLoopPromise<Void>
    var connection: LinkConnection?
    var session: Session
    var decoder = FrameDecoder()
    var context: ChannelHandlerContext?
    var phase = Phase.idle
    var channels: [UInt32: StreamChannel] = [:]
    var incoming: Incoming?
    /// Channels that were read to in this burst.
    var completing: [StreamChannel] = []
    /// Promises of empty writes; they complete with the next batch.
    var owedPromises: [EventLoopPromise<Void>] = []
    var reading = false
    var flushing = false
    var flushScheduled = false
    var heard = false
    let eventLoop: any EventLoop
    var lastReceived: NIODeadline
    var lastPinged: NIODeadline
    /// Since when a ping has been under way while nothing was heard; nil where something was heard since.
    var askedSince: NIODeadline?
    var lastBatch = 256
    var keepAlive: Scheduled<Void>?
    var expiry: Scheduled<Void>?
    /// Why the link ended, once it is known.
    var reason: LinkError?

    init(
        role: LinkRole, configuration: LinkConfiguration, logger: Logger, measures: LinkMeasures,
        eventLoop: any EventLoop, acceptor: @escaping StreamAcceptor
    ) {
        self.configuration = configuration
        self.logger = logger
        self.measures = measures
        self.acceptor = acceptor
        self.eventLoop = eventLoop
        lastReceived = eventLoop.now
        lastPinged = eventLoop.now
        session = Session(role: role, limits: Session.Limits(configuration))
        firstFrame = eventLoop.makePromise()
        closedPromise = eventLoop.makePromise()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(LinkError.closedHere)
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(LinkError.peerGone)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if reason == nil { reason = LinkHandshake.explain(error) }
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard phase == .open else { return }
        let now = eventLoop.now
        lastReceived = now
        askedSince = nil
        measures.add(received: bytes.readableBytes, now: now)
        decoder.feed(bytes)
        reading = true
        process(now)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        reading = false
        let finished = completing
        completing.removeAll(keepingCapacity: true)
        finished.forEach { $0.completeReading() }
        if flushScheduled || session.hasOutput || !owedPromises.isEmpty { flush() }
        if session.goingAway { closeIfDone() }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
        context.fireChannelWritabilityChanged()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard phase == .idle else { return }
        phase = .open
        // The answer proves that the peer speaks yamux and has accepted this end, and is the first round-trip time.
        askedSince = eventLoop.now
        session.ping(now: eventLoop.now)
        scheduleFlush()
        scheduleKeepAlive()
    }

    /// Closes the link: go-away with `code`, what streams may still send, then the connection.
    func close(_ reason: LinkError?, code: GoAwayCode) {
        guard phase == .open || phase == .idle, let context else { return }
        if self.reason == nil { self.reason = reason }
        flush()
        guard phase == .open || phase == .idle else { return }
        phase = .closing
        session.control.removeAll()
        session.goAway(code)
        var last = context.channel.allocator.buffer(capacity: Yamux.headerSize)
        last.writeFrameHeader(.goAway(code))
        let channel = context.channel
        // A peer that takes nothing any more must not keep the connection.
        let limit = context.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            limit.cancel()
            channel.close(promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(last), promise: written)
        failStreams(reason ?? LinkError.closedHere)
    }

    func violate(_ what: String) {
        let error = LinkError.violation(what)
        logger.warning(
            "closing a link whose peer breaks the protocol",
            metadata: ["peer": "\(connection?.peer.map(\.uri) ?? "unknown")", "rule": "\(what)"])
        close(error, code: .protocolError)
    }

    /// The connection is gone.
    private func end(_ error: LinkError) {
        guard phase != .closed else { return }
        let closedHere = phase == .closing && reason == nil
        phase = .closed
        keepAlive?.cancel()
        expiry?.cancel()
        let error = reason ?? (closedHere ? LinkError.closedHere : error)
        measures.end()
        failStreams(error)
        firstFrame.fail(error)
        if closedHere { closedPromise.succeed(()) } else { closedPromise.fail(error) }
        connection = nil
    }

    private func failStreams(_ error: LinkError) {
        let streams = channels.values
        channels.removeAll()
        completing.removeAll()
        incoming = nil
        for channel in streams { channel.fail(error) }
        let promises = owedPromises
        owedPromises.removeAll()
        promises.forEach { $0.fail(error) }
    }
}

extension Session.Limits {
    init(_ configuration: LinkConfiguration) {
        let first = max(Int(configuration.initialWindow.bytes), Yamux.initialWindow)
        self.init(
            initialWindow: first,
            maximumWindow: max(Int(configuration.maximumWindow.bytes), first),
            memory: max(Int(configuration.memoryBound.bytes), first),
            streams: max(configuration.maximumStreams, 1),
            backlog: max(configuration.acceptBacklog, 1),
            slice: max(Int(configuration.slice.bytes), 1))
    }
}
