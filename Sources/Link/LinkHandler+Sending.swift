import Fleet
import NIOCore

extension LinkHandler {
    /// Bursts handed to the connection before other work of the event loop gets its turn.
    private static let burstsPerTick = 4

    /// Sends at the end of this tick, together with what else comes until then.
    func scheduleFlush() {
        guard !flushScheduled, !flushing, let context else { return }
        flushScheduled = true
        if reading { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let link = bound.value
            if link.flushScheduled, !link.reading { link.flush() }
        }
    }

    /// Sends what may be sent, as long as the connection takes it.
    func flush() {
        flushScheduled = false
        guard phase == .open, !flushing, let context else { return }
        flushing = true
        var bursts = 0
        while phase == .open, session.hasOutput || !owedPromises.isEmpty, context.channel.isWritable {
            if bursts == Self.burstsPerTick { break }
            bursts += 1
            sendBurst(context)
        }
        flushing = false
        if phase == .open, session.hasOutput, context.channel.isWritable { scheduleFlush() }
    }

    private func sendBurst(_ context: ChannelHandlerContext) {
        var batch = OutboundBatch(
            allocator: context.channel.allocator, capacity: lastBatch,
            coalescing: Int(configuration.coalescing.bytes))
        batch.append(owedPromises)
        owedPromises.removeAll()
        let limit = Int(configuration.burst.bytes)
        while batch.bytes < limit, let frame = session.next() {
            batch.append(frame)
            if frame.kind == .data {
                take(frame, into: &batch, context)
            } else if frame.flags.contains(.fin) {
                batch.ended.append(frame.stream)
            }
        }
        send(&batch, context)
        for channel in batch.drained where channel.output.becomesWritable() { channel.setWritable(true) }
        for id in batch.ended {
            channels[id]?.didSendEnd()
            forgetIfOver(id)
        }
    }

    private func take(_ frame: FrameHeader, into batch: inout OutboundBatch, _ context: ChannelHandlerContext) {
        guard let channel = channels[frame.stream] else { return }
        channel.output.take(
            Int(frame.length),
            piece: { piece in
                batch.append(piece) { context.write(wrapOutboundOut($0), promise: nil) }
            },
            promise: { batch.append($0) })
        if !channel.output.isWritable { batch.drained.append(channel) }
    }

    private func send(_ batch: inout OutboundBatch, _ context: ChannelHandlerContext) {
        let rest = batch.takeGathered()
        if let rest { lastBatch = max(64, min(rest.readableBytes, 64 << 10)) }
        let promises = batch.promises
        guard batch.bytes > 0 else {
            promises.forEach { $0.succeed(()) }
            return
        }
        measures.add(sent: batch.bytes, now: eventLoop.now)
        var written: EventLoopPromise<Void>?
        if !promises.isEmpty {
            let promise = context.eventLoop.makePromise(of: Void.self)
            promise.futureResult.whenComplete { result in
                for each in promises { each.completeWith(result) }
            }
            written = promise
        }
        if let rest {
            context.writeAndFlush(wrapOutboundOut(rest), promise: written)
        } else {
            // Everything was passed on already: an empty write completes after it.
            if written != nil { context.write(wrapOutboundOut(ByteBuffer()), promise: written) }
            context.flush()
        }
    }

    /// - Parameter time: until the next look; the time between pings where nil.
    func scheduleKeepAlive(in time: TimeAmount? = nil) {
        guard phase == .open, let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        keepAlive = context.eventLoop.scheduleTask(in: time ?? TimeAmount(configuration.keepAlive)) {
            bound.value.keepAliveIsDue()
        }
    }

    private func keepAliveIsDue() {
        guard phase == .open else { return }
        let now = eventLoop.now
        if let asked = askedSince, now - asked >= TimeAmount(configuration.keepAliveTimeout) {
            let silence = Duration.nanoseconds((now - lastReceived).nanoseconds)
            reason = LinkError(.timedOut, "the peer has been silent for \(silence); is the network up?")
            context?.close(promise: nil)
            return
        }
        // Whoever was heard just now is there. How long the way takes is measured all the same, but more seldom.
        let (keepAlive, idle) = (configuration.keepAlive, configuration.idleKeepAlive)
        let pause = channels.isEmpty ? max(session.role == .client ? idle : idle * 2, keepAlive) : keepAlive
        let quiet = now - lastReceived
        let isMeasured = channels.isEmpty || now - lastPinged < TimeAmount(configuration.measuring)
        guard askedSince == nil, quiet < TimeAmount(pause), isMeasured else {
            ping(now)
            return scheduleKeepAlive(in: TimeAmount(min(keepAlive, configuration.keepAliveTimeout)))
        }
        scheduleKeepAlive(in: min(TimeAmount(keepAlive), TimeAmount(pause) - quiet))
    }

    func expectWord(every interval: Duration) {
        configuration.keepAlive = max(configuration.keepAlive, interval)
        configuration.measuring = .seconds(3600)
    }

    /// Asks whether the peer is there still, where nothing was heard for long; before there is something to lose by its silence.
    func askIfQuiet() {
        let now = eventLoop.now
        guard phase == .open, askedSince == nil, now - lastReceived >= TimeAmount(configuration.keepAlive) else {
            return
        }
        ping(now)
    }

    private func ping(_ now: NIODeadline) {
        lastPinged = now
        askedSince = askedSince ?? now
        session.ping(now: now)
        scheduleFlush()
    }
}
