package import Link
package import NIOCore
import Synchronization
package import Wire

/// The asking side of stream 1: sends envelopes, matches replies with their requests, hands the rest to its owner.
package final class ControlStream: Sendable {
    package typealias Body = Lighter_V1_Envelope.OneOf_Body

    private struct State {
        var lastRequest: UInt64 = 0
        var waiting: [UInt64: EventLoopPromise<Body>] = [:]
        var isClosed = false
    }

    package let link: LinkConnection
    private let channel: any Channel
    private let state = Mutex(State())

    private init(link: LinkConnection, channel: any Channel) {
        self.link = link
        self.channel = channel
    }

    /// Opens the control stream on a link to a gateway.
    /// - Parameter receive: gets every message that is no reply, in order, on the link's event loop.
    package static func open(
        on link: LinkConnection, receive: @escaping @Sendable (ControlStream, Body) -> Void
    ) -> EventLoopFuture<ControlStream> {
        var message = Lighter_V1_StreamOpen()
        message.control = Lighter_V1_Control()
        let promise = link.eventLoop.makePromise(of: ControlStream.self)
        link.openStream(announcing: message) { channel in
            channel.eventLoop.makeCompletedFuture {
                let stream = ControlStream(link: link, channel: channel)
                try channel.pipeline.syncOperations.addHandlers([
                    EnvelopeCodec(), ControlStreamHandler(stream: stream, receive: receive),
                ])
                return stream
            }.map { stream in promise.succeed(stream) }
        }.whenFailure { promise.fail($0) }
        return promise.futureResult
    }

    /// Sends a message that wants no reply; it is lost when the stream is.
    package func send(_ body: Body) {
        var envelope = Lighter_V1_Envelope()
        envelope.body = body
        channel.writeAndFlush(EnvelopeCodec.Outgoing.message(envelope), promise: nil)
    }

    /// Sends a request and waits for its reply.
    /// - Throws: `.unavailable` as soon as the stream is lost, `.timedOut` after `timeout`, else what the gateway answered.
    package func request(_ body: Body, timeout: TimeAmount) async throws(SessionError) -> Body {
        let promise = channel.eventLoop.makePromise(of: Body.self)
        let id = state.withLock { state -> UInt64? in
            guard !state.isClosed else { return nil }
            state.lastRequest += 1
            state.waiting[state.lastRequest] = promise
            return state.lastRequest
        }
        guard let id else {
            promise.fail(Self.lost)
            throw Self.lost
        }
        let timer = channel.eventLoop.scheduleTask(in: timeout) {
            self.settle(id, .failure(SessionError(.timedOut, "the gateway did not answer in time; is it overloaded?")))
        }
        defer { timer.cancel() }
        var envelope = Lighter_V1_Envelope()
        envelope.request = id
        envelope.body = body
        channel.writeAndFlush(EnvelopeCodec.Outgoing.message(envelope)).whenFailure { error in
            self.settle(id, .failure(SessionError(.unavailable, "the request could not be sent", cause: error)))
        }
        do {
            let reply = try await promise.futureResult.get()
            if case .failure(let failure) = reply { throw SessionError(failure) }
            return reply
        } catch let error as SessionError {
            throw error
        } catch {
            throw SessionError(.unavailable, "the gateway did not answer", cause: error)
        }
    }

    fileprivate func settle(_ id: UInt64, _ result: Result<Body, any Error>) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.completeWith(result)
    }

    fileprivate func fail() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for promise in waiting { promise.fail(Self.lost) }
    }

    private static var lost: SessionError {
        SessionError(.unavailable, "the connection to the gateway was lost before it answered; try again")
    }
}

private final class ControlStreamHandler: ChannelInboundHandler {
    typealias InboundIn = Lighter_V1_Envelope

    private let stream: ControlStream
    private let receive: @Sendable (ControlStream, ControlStream.Body) -> Void

    init(stream: ControlStream, receive: @escaping @Sendable (ControlStream, ControlStream.Body) -> Void) {
        self.stream = stream
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        // A message of a later version has no body that this one knows.
        guard let body = envelope.body else { return }
        if envelope.request != 0 {
            stream.settle(envelope.request, .success(body))
        } else {
            receive(stream, body)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        stream.fail()
        // Without its control stream the link is of no use; closing it makes its owner dial again.
        stream.link.close(nil)
    }
}

extension SessionError {
    /// What the gateway said no with; codes that this version does not know become `.unknown`.
    package init(_ failure: Lighter_V1_Failure) {
        self.init(Code(rawValue: failure.code) ?? .unknown, failure.message)
        if (0.001...600).contains(failure.retrySeconds) {
            retryAfter = .seconds(failure.retrySeconds * .random(in: 1...1.5))
        }
    }
}
