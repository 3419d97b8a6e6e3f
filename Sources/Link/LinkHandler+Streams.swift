import NIOCore

/// What the streams' channels ask of their link.
extension LinkHandler {
    /// Opens a stream of this end: sets its channel up, then gives it the next number.
    func open(
        _ initializer: (any Channel) -> EventLoopFuture<Void>, promise: EventLoopPromise<any Channel>
    ) {
        guard phase == .open, let context else {
            promise.fail(reason ?? LinkError.closedHere)
            return
        }
        let channel = StreamChannel(link: self, parent: context.channel, id: 0)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        initializer(channel).hop(to: context.eventLoop).whenComplete { result in
            bound.value.finishOpening(channel, result, promise)
        }
    }

    private func finishOpening(
        _ channel: StreamChannel, _ result: Result<Void, any Error>, _ promise: EventLoopPromise<any Channel>
    ) {
        do {
            try result.get()
            guard phase == .open else { throw reason ?? LinkError.closedHere }
            guard channel.phase == .initializing else { throw ChannelError.ioOnClosedChannel }
            askIfQuiet()
            let id = try session.open()
            channel.id = id
            channels[id] = channel
            scheduleFlush()
            channel.activate()
            promise.succeed(channel)
        } catch {
            channel.giveUpOutput(error)
            channel.becomeClosed(error: error)
            promise.fail(error)
        }
    }

    func queue(_ channel: StreamChannel, bytes: Int) {
        session.queue(channel.id, bytes: bytes)
        scheduleFlush()
    }

    func complete(_ promise: EventLoopPromise<Void>) {
        guard phase == .open else {
            promise.fail(reason ?? LinkError.closedHere)
            return
        }
        owedPromises.append(promise)
        scheduleFlush()
    }

    func didRead(_ channel: StreamChannel, bytes: Int) {
        session.read(channel.id, bytes: bytes, now: readTime())
        if session.hasOutput { scheduleFlush() }
    }

    /// Within a burst of the link the time of its arrival will do; a channel that reads later asks the clock.
    private func readTime() -> NIODeadline { reading ? lastReceived : eventLoop.now }

    func discard(_ bytes: Int) { session.drop(bytes: bytes) }

    func completeLater(_ channel: StreamChannel) {
        completing.append(channel)
    }

    func finish(_ channel: StreamChannel) {
        session.finish(channel.id)
        scheduleFlush()
    }

    func abandon(_ channel: StreamChannel, unread: Int) {
        let linger = channel.output.bytes > 0 ? configuration.drainTimeout : configuration.lingerTimeout
        session.abandon(channel.id, unread: unread, deadline: eventLoop.now + TimeAmount(linger))
        if !session.contains(channel.id) { channels.removeValue(forKey: channel.id) }
        scheduleFlush()
        scheduleExpiry(in: TimeAmount(linger))
    }

    /// The acceptor, or the opener, closed the channel before it was a stream.
    func cancelOpening(_ channel: StreamChannel) {
        session.drop(bytes: channel.input.bytes)
        guard channel.id != 0 else { return }
        session.reset(channel.id)
        channels.removeValue(forKey: channel.id)
        scheduleFlush()
    }

    func reset(_ channel: StreamChannel, unread: Int) {
        session.drop(bytes: unread)
        session.reset(channel.id)
        channels.removeValue(forKey: channel.id)
        scheduleFlush()
    }

    /// Lets go of a channel when neither its owner nor the session needs it.
    func forgetIfOver(_ id: UInt32) {
        guard let channel = channels[id], channel.phase == .closed, !session.contains(id) else { return }
        channels.removeValue(forKey: id)
        channel.giveUpOutput(ChannelError.ioOnClosedChannel)
        closeIfDone()
    }

    /// After the peer's friendly go-away the link ends with its last stream.
    func closeIfDone() {
        guard phase == .open, session.goingAway, channels.isEmpty else { return }
        context?.close(promise: nil)
    }

    private func scheduleExpiry(in time: TimeAmount) {
        guard expiry == nil, phase == .open, let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        expiry = context.eventLoop.scheduleTask(in: time) { bound.value.expire() }
    }

    private func expire() {
        expiry = nil
        guard phase == .open else { return }
        let now = eventLoop.now
        let (gone, next) = session.expire(now: now, drain: TimeAmount(configuration.drainTimeout))
        for id in gone { channels.removeValue(forKey: id)?.giveUpOutput(LinkError.resetHere) }
        if !gone.isEmpty { scheduleFlush() }
        if let next { scheduleExpiry(in: max(next - now, .milliseconds(1))) }
    }
}
