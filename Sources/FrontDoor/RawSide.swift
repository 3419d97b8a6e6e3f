internal import DockerAPI
internal import Engine
internal import Images
internal import NIOCore

/// One end of a connection that speaks no HTTP/1 any more: what its channel tells. All on the loop.
@NodeLoop
protocol RawSide: AnyObject, Sendable {
    func received(_ bytes: ByteBuffer)
    /// The other side says no more, or is gone.
    func inputClosed()
    func writabilityChanged()
}

/// Hands a channel's events to its side, which may be replaced.
final class RawSideHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let side: @NodeLoop () -> any RawSide

    init(_ side: @escaping @NodeLoop () -> any RawSide) { self.side = side }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        NodeLoop.assumeIsolated { [side] in side().received(bytes) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        NodeLoop.assumeIsolated { [side] in side().writabilityChanged() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            NodeLoop.assumeIsolated { [side] in side().inputClosed() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        NodeLoop.assumeIsolated { [side] in side().inputClosed() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Asks an engine to change to another protocol, and then becomes what speaks it.
@NodeLoop
final class Upgrading: RawSide {
    private let answer: CheckedContinuation<any Channel, any Error>
    private var hasAnswered = false
    private var parser = HeadParser<ResponseHead>()
    private var input = ByteBuffer()
    private var next: (any RawSide)?
    private let role: @NodeLoop (any Channel) -> any RawSide
    private let offer: PackingOffer?
    private var channel: (any Channel)?

    private init(
        _ answer: CheckedContinuation<any Channel, any Error>, _ offer: PackingOffer?,
        _ role: @escaping @NodeLoop (any Channel) -> any RawSide
    ) {
        self.answer = answer
        self.offer = offer
        self.role = role
    }

    /// Dials, sends the head, and returns when the other side has agreed; `role` makes what has the connection then.
    /// - Parameter offer: to pack what follows, which is HTTP/2; the head has it.
    /// - Throws: what it said instead.
    static func dial(
        _ dialer: any DockerDialer, _ head: RequestHead, offer: PackingOffer? = nil,
        _ role: @escaping @NodeLoop (any Channel) -> any RawSide
    ) async throws {
        _ = try await withCheckedThrowingContinuation { answer in
            let upgrading = Upgrading(answer, offer, role)
            dialer.dial(on: NodeLoop.shared.loop) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = RawSideHandler { upgrading.next ?? upgrading }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }.whenComplete { result in
                NodeLoop.assumeIsolated { upgrading.dialled(result, head) }
            }
        }
    }

    private func dialled(_ result: Result<any Channel, any Error>, _ head: RequestHead) {
        switch result {
        case .failure(let error): end(error)
        case .success(let channel):
            self.channel = channel
            channel.writeAndFlush(head.raw, promise: nil)
        }
    }

    func received(_ bytes: ByteBuffer) {
        input.writeImmutableBuffer(bytes)
        do throws(HTTPError) {
            while let head = try parser.parse(&input) {
                if head.status == 101, let channel { return upgraded(channel, head) }
                guard (100..<200).contains(head.status) else {
                    return end(FrontDoorError(.unreachable, "status \(head.status) in place of another protocol"))
                }
                parser = HeadParser()
            }
        } catch {
            end(error)
        }
    }

    private func upgraded(_ channel: any Channel, _ head: ResponseHead) {
        guard !hasAnswered else { return }
        do throws(ImageError) {
            if try offer?.accept(head, early: input, on: channel) == true { input.clear() }
        } catch {
            return end(error)
        }
        hasAnswered = true
        let side = role(channel)
        next = side
        if input.readableBytes > 0 { side.received(input) }
        answer.resume(returning: channel)
    }

    private func end(_ error: any Error) {
        guard !hasAnswered else { return }
        hasAnswered = true
        channel?.close(promise: nil)
        answer.resume(throwing: error)
    }

    func inputClosed() { end(FrontDoorError(.unreachable, "the connection ended before it could change its protocol")) }

    func writabilityChanged() {}
}
