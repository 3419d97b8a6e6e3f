package import NIOCore
package import Wire

/// Reads a stream's first message, then hands the stream over and steps out of its pipeline.
///
/// What came behind the message is fired through the pipeline once `serve`'s future has completed, so no byte is lost. A
/// stream whose message is too long, malformed or late is closed; so is one whose `serve` fails.
package final class FirstMessageHandler<First: Sendable>: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = Never

    package typealias Parse = @Sendable (inout DelimitedDecoder) throws -> First?
    package typealias Serve = @Sendable (any Channel, First) -> EventLoopFuture<Void>

    private enum State {
        case reading(DelimitedDecoder)
        /// Handed over; bytes and reads wait for `serve`.
        case serving(held: ByteBuffer)
        case done
    }

    private var state: State
    private var inputClosed = false
    private var readWanted = false
    private var timer: Scheduled<Void>?
    private let timeout: TimeAmount
    private let parse: Parse
    private let serve: Serve

    package init(
        limit: Int = 64 << 10, timeout: TimeAmount = .seconds(10), parse: @escaping Parse, serve: @escaping Serve
    ) {
        state = .reading(DelimitedDecoder(limit: limit))
        self.timeout = timeout
        self.parse = parse
        self.serve = serve
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch state {
        case .reading(var decoder):
            // The decoder moves out of the state and back, so that it is not copied.
            state = .done
            decoder.feed(bytes.readableBytesView)
            do {
                if let first = try parse(&decoder) {
                    hand(over: first, rest: decoder.unread, context: context)
                } else {
                    state = .reading(decoder)
                }
            } catch {
                context.fireErrorCaught(error)
                context.close(promise: nil)
            }
        case .serving(var held):
            held.writeBuffer(&bytes)
            state = .serving(held: held)
        case .done:
            context.fireChannelRead(data)
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if case .done = state { context.fireChannelReadComplete() }
    }

    package func read(context: ChannelHandlerContext) {
        // While the new owner installs itself nothing more is read: what is held stays within one window.
        if case .serving = state { readWanted = true } else { context.read() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        switch state {
        case .reading: context.close(promise: nil)
        case .serving: inputClosed = true
        case .done: context.fireUserInboundEventTriggered(event)
        }
    }

    private func hand(over first: First, rest: [UInt8], context: ChannelHandlerContext) {
        timer?.cancel()
        state = .serving(held: context.channel.allocator.buffer(bytes: rest))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        serve(context.channel, first).hop(to: context.eventLoop).whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success: context.pipeline.syncOperations.removeHandler(handler, promise: nil)
            case .failure(let error):
                context.fireErrorCaught(error)
                context.close(promise: nil)
            }
        }
    }

    package func removeHandler(context: ChannelHandlerContext, removalToken: ChannelHandlerContext.RemovalToken) {
        if case .serving(let held) = state {
            state = .done
            if held.readableBytes > 0 {
                context.fireChannelRead(wrapInboundOut(held))
                context.fireChannelReadComplete()
            }
            if inputClosed { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        }
        if readWanted { context.read() }
        context.leavePipeline(removalToken: removalToken)
    }
}

extension FirstMessageHandler where First == Lighter_V1_StreamOpen {
    /// Receives a stream that the peer opened.
    package static func streamOpen(_ serve: @escaping Serve) -> FirstMessageHandler {
        FirstMessageHandler(parse: { try $0.next(Lighter_V1_StreamOpen.self) }, serve: serve)
    }
}

extension FirstMessageHandler where First == Lighter_V1_RelayResult {
    /// Waits for the gateway's word on a relay that was asked for.
    static func relayResult(_ serve: @escaping Serve) -> FirstMessageHandler {
        FirstMessageHandler(parse: { try $0.next(Lighter_V1_RelayResult.self) }, serve: serve)
    }
}
