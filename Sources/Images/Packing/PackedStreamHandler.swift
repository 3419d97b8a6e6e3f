package import NIOCore

/// Packs what a channel says, and unpacks what it hears.
///
/// A stream that is nothing closes its channel.
package final class PackedStreamHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Which end of the stream this is: the one that offered to pack it has the last word.
    package enum End: Sendable { case offering, agreeing }

    /// How long after a file's content little packets do not wait for common ones: its sender waits for them.
    private static let haste = TimeAmount.milliseconds(100)

    /// Bytes that are told in one turn of the loop: little on the link may be much here.
    private static let turn = 1 << 20
    /// Of what waits to be unpacked, in bytes.
    private static let inputLimit = 16 << 20

    private let end: End
    private let pulls: Bool
    private let writer: PackedWriter
    private let reader: PackedReader
    private let ended: (ByteBuffer) -> Void
    private var runs = FrameRuns()
    private var pace = PackingPace.session
    /// When what waits goes out, and whether somebody may wait for it.
    private var scheduled: (task: Scheduled<Void>, isUrgent: Bool)?
    private var hasteUntil = NIODeadline.distantPast
    private var isOver = false
    /// Heard before the handler was there.
    private var early: ByteBuffer
    private var isTelling = false
    private var isAsked = false
    private var isInputClosed = false

    /// - Parameters:
    ///   - pulls: whether the channel's reader asks for every piece; it gets them as they come otherwise.
    ///   - memory: what both ends remember.
    ///   - early: what has been heard already.
    ///   - ended: told once what both ends remember of this stream, where they agree on it.
    package init(
        _ end: End, pulls: Bool, memory: ByteBuffer?, early: ByteBuffer = ByteBuffer(),
        ended: @escaping (ByteBuffer) -> Void
    ) throws(ImageError) {
        self.end = end
        self.pulls = pulls
        self.early = early
        self.ended = ended
        writer = try PackedWriter(memory: memory)
        reader = try PackedReader(memory: memory)
    }

    /// Takes its place in a channel, before what speaks and hears there.
    package func join<Side: ChannelHandler>(_ channel: any Channel, before side: Side.Type) throws(ImageError) {
        do {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(self, position: .before(pipeline.handler(type: side)))
        } catch {
            throw ImageError(.compression, "a session cannot be packed: \(error)")
        }
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        guard early.readableBytes > 0 else { return }
        reader.add(early)
        early = ByteBuffer()
        // Not at once: who hears it is still being made.
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.0.tell(bound.value.1) }
    }

    // MARK: Hearing

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        reader.add(unwrapInboundIn(data))
        isAsked = true
        guard reader.waiting <= Self.inputLimit else {
            return fail(context, ImageError(.malformedCompression, "a packed stream has more in it than can be told"))
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) { tell(context) }

    package func read(context: ChannelHandlerContext) {
        isAsked = true
        if !isTelling { tell(context) }
    }

    /// Passes on as many pieces as are asked for, and reads on where there are none.
    private func tell(_ context: ChannelHandlerContext) {
        guard !isTelling else { return }
        isTelling = true
        var told = 0
        while !isOver, isAsked || !pulls {
            let piece: ByteBuffer?
            do throws(ImageError) { piece = try reader.next() } catch { return fail(context, error) }
            guard let piece else { break }
            isAsked = false
            if !reader.isKeeping { hasteUntil = context.eventLoop.now + Self.haste }
            context.fireChannelRead(wrapInboundOut(piece))
            context.fireChannelReadComplete()
            told += piece.readableBytes
            guard told < Self.turn else { return goOnLater(context) }
        }
        // Before more is asked for: it may come at once.
        isTelling = false
        guard isAsked || !pulls else { return }
        if isInputClosed {
            isInputClosed = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else if isAsked {
            isAsked = false
            context.read()
        }
    }

    private func goOnLater(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.isTelling = false
            if !handler.isOver { handler.tell(context) }
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        isInputClosed = true
        isAsked = true
        tell(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if end == .agreeing, !isOver, let count = reader.end, let known = writer.kept.getSlice(at: 0, length: count) {
            var memory = reader.kept
            memory.writeImmutableBuffer(known)
            ended(memory)
        }
        isOver = true
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext, _ error: ImageError) {
        isOver = true
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    // MARK: Saying

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        do throws(ImageError) {
            for run in runs.split(unwrapOutboundIn(data)) {
                try writer.add(run.bytes, keeps: run.isKept)
                if !run.isKept { hasteUntil = context.eventLoop.now + Self.haste }
            }
            guard let promise else { return }
            // Who waits until it has left wants to close, and that is a word more.
            if end == .offering { return promise.succeed() }
            context.writeAndFlush(wrapOutboundOut(try writer.flush()), promise: promise)
        } catch {
            promise?.fail(error)
            fail(context, error)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        guard writer.waiting > 0 else { return context.flush() }
        if writer.waiting >= PackingPace.patience { return send(context) }
        let now = context.eventLoop.now
        let isHasty = now < hasteUntil
        let isUrgent = runs.isUrgent || isHasty
        if let scheduled {
            guard isUrgent, !scheduled.isUrgent else { return }
            scheduled.task.cancel()
        }
        let wait = isHasty ? PackingPace.gathering : isUrgent ? pace.wait(now) : PackingPace.leisure
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let task = context.eventLoop.scheduleTask(in: wait) {
            let (handler, context) = bound.value
            handler.scheduled = nil
            if handler.writer.waiting > 0, context.channel.isActive { handler.send(context) }
        }
        scheduled = (task, isUrgent)
    }

    private func send(_ context: ChannelHandlerContext) {
        runs.isUrgent = false
        do throws(ImageError) {
            context.writeAndFlush(wrapOutboundOut(try writer.flush()), promise: nil)
        } catch {
            fail(context, error)
        }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard end == .offering, mode == .all, !isOver, context.channel.isActive,
            let last = try? writer.end(heard: reader.kept.readableBytes)
        else {
            if mode != .input, !isOver, writer.waiting > 0 { send(context) }
            return context.close(mode: mode, promise: promise)
        }
        isOver = true
        var memory = writer.kept
        memory.writeImmutableBuffer(reader.kept)
        let said = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((context, ended), eventLoop: context.eventLoop)
        said.futureResult.whenComplete { [memory] result in
            let (context, ended) = bound.value
            if case .success = result { ended(memory) }
            context.close(mode: mode, promise: promise)
        }
        context.writeAndFlush(wrapOutboundOut(last), promise: said)
    }
}
