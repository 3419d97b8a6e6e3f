import NIOCore

extension StreamChannel: ChannelCore {
    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard phase != .closed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        guard !outputClosed else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        guard let buffer = tryUnwrapData(data, as: ByteBuffer.self) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if output.write(buffer, promise: promise) { setWritable(false) }
    }

    func flush0() {
        guard phase != .closed, !outputClosed else { return }
        flushOutput()
    }

    func read0() {
        guard phase == .active else { return }
        demand = true
        if !answering { drain() }
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard phase != .closed else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        switch mode {
        case .all: closeWhole(promise: promise)
        case .output: closeOutput(promise: promise)
        case .input: promise?.fail(ChannelError.operationUnsupported)
        }
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        guard event is ResetStream else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        guard phase != .closed else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        reset(LinkError.resetHere)
        promise?.succeed(())
    }

    func channelRead0(_ data: NIOAny) {}
    func errorCaught0(error: any Error) {}

    private func flushOutput() {
        let bytes = output.flush()
        guard phase == .active, let link else { return }
        if bytes > 0 { link.queue(self, bytes: bytes) }
        completeEmptyWrites()
    }

    private func closeOutput(promise: EventLoopPromise<Void>?) {
        guard !outputClosed else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        flushOutput()
        outputClosed = true
        outputPromise = promise
        if phase == .active { link?.finish(self) }
    }

    func closeWhole(promise: EventLoopPromise<Void>?) {
        guard phase != .closed else {
            promise?.succeed(())
            return
        }
        if phase == .initializing {
            giveUpOutput(ChannelError.ioOnClosedChannel)
            link?.cancelOpening(self)
        } else {
            if !outputClosed { flushOutput() }
            outputClosed = true
            link?.abandon(self, unread: input.bytes)
        }
        becomeClosed(error: nil)
        promise?.succeed(())
    }

    /// FIN has been handed to the link's connection.
    func didSendEnd() {
        endSent = true
        let promise = outputPromise
        outputPromise = nil
        promise?.succeed(())
        guard phase == .active else { return }
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        if endDelivered, phase == .active { closeWhole(promise: nil) }
    }

    /// Ends both directions at once; the peer sees a reset.
    func reset(_ error: LinkError) {
        link?.reset(self, unread: input.bytes)
        giveUpOutput(error)
        becomeClosed(error: error)
    }

    /// The peer, or the link's end, ended both directions.
    func fail(_ error: LinkError) {
        giveUpOutput(error)
        // What came before the peer's FIN is whole; it is still delivered.
        if ended, !input.isEmpty, phase == .active, error.code == .streamReset { return }
        let unread = input.bytes
        link?.discard(unread)
        becomeClosed(error: error)
    }
}
