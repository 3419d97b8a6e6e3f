import Link
import NIOCore
import Session
import Synchronization
import Wire

/// The answering side of stream 1: a peer's envelopes in order, with back-pressure, and the way to answer them.
///
/// Reading pauses while `backlog` envelopes are unfinished or the peer does not read its answers, so that a peer costs
/// bounded memory whatever it sends.
final class ControlPeer: Sendable {
    private static let backlog = 64

    /// Sees each envelope first, on the event loop; true where it deals with it, and owes it `finished()`.
    typealias Intake = (Lighter_V1_Envelope) -> Bool

    let link: LinkConnection
    let channel: any Channel
    /// Ends when the stream does. Each envelope taken from it is owed one `finished()`.
    let envelopes: AsyncStream<Lighter_V1_Envelope>
    private let continuation: AsyncStream<Lighter_V1_Envelope>.Continuation
    private let unfinished = Atomic<Int>(0)

    private init(link: LinkConnection, channel: any Channel) {
        self.link = link
        self.channel = channel
        (envelopes, continuation) = AsyncStream.makeStream()
    }

    /// Makes a control stream of a channel that has just been opened by the peer; on the channel's event loop.
    static func install(
        on channel: any Channel, link: LinkConnection, intake: (ControlPeer) -> Intake? = { _ in nil }
    ) throws -> ControlPeer {
        let peer = ControlPeer(link: link, channel: channel)
        try channel.pipeline.syncOperations.addHandlers([
            EnvelopeCodec(), Inbox(peer: peer, intake: intake(peer)),
        ])
        return peer
    }

    /// Has an envelope, which the intake had taken, come in `envelopes` after all.
    func enqueue(_ envelope: Lighter_V1_Envelope) { continuation.yield(envelope) }

    /// Envelopes were dealt with: room for others.
    func finished(_ count: Int = 1) {
        let (before, left) = unfinished.subtract(count, ordering: .relaxed)
        guard before > Self.backlog / 2, left <= Self.backlog / 2 else { return }
        channel.eventLoop.execute { self.channel.pipeline.fireUserInboundEventTriggered(RoomForMore()) }
    }

    func send(_ body: Lighter_V1_Envelope.OneOf_Body) { reply(to: 0, body) }

    /// Sends an envelope that is encoded and framed already; done when the connection has taken it.
    func send(encoded frame: ByteBuffer) -> EventLoopFuture<Void> {
        channel.writeAndFlush(EnvelopeCodec.Outgoing.encoded(frame))
    }

    func reply(to request: UInt64, _ body: Lighter_V1_Envelope.OneOf_Body) {
        var envelope = Lighter_V1_Envelope()
        envelope.request = request
        envelope.body = body
        channel.writeAndFlush(EnvelopeCodec.Outgoing.message(envelope), promise: nil)
    }

    /// Acknowledges reports, all in one write.
    func acknowledge(_ reports: [UInt64]) {
        guard !reports.isEmpty else { return }
        var buffer = channel.allocator.buffer(capacity: 16 * reports.count)
        for report in reports { PushFrame.append(acknowledgement: report, to: &buffer) }
        channel.writeAndFlush(EnvelopeCodec.Outgoing.encoded(buffer), promise: nil)
    }

    /// Says why, then closes the link.
    func dismiss(_ error: GatewayError) {
        var envelope = Lighter_V1_Envelope()
        envelope.failure = Lighter_V1_Failure(error)
        channel.writeAndFlush(EnvelopeCodec.Outgoing.message(envelope)).whenComplete { _ in
            self.link.close(LinkError(.closed, error.message))
        }
    }

    private struct RoomForMore: Sendable {}

    private final class Inbox: ChannelDuplexHandler {
        typealias InboundIn = Lighter_V1_Envelope
        typealias OutboundIn = EnvelopeCodec.Outgoing

        private let peer: ControlPeer
        private let intake: Intake?
        private var readHeld = false

        init(peer: ControlPeer, intake: Intake?) {
            self.peer = peer
            self.intake = intake
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            peer.unfinished.add(1, ordering: .relaxed)
            let envelope = unwrapInboundIn(data)
            if intake?(envelope) != true { peer.continuation.yield(envelope) }
        }

        func read(context: ChannelHandlerContext) {
            if hasRoom(context) { context.read() } else { readHeld = true }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            resume(context)
            context.fireChannelWritabilityChanged()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is RoomForMore { return resume(context) }
            if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
            context.fireUserInboundEventTriggered(event)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
            peer.link.close(LinkError(.closed, "the control stream broke: \(error)"))
        }

        func channelInactive(context: ChannelHandlerContext) { peer.continuation.finish() }
        func handlerRemoved(context: ChannelHandlerContext) { peer.continuation.finish() }

        private func hasRoom(_ context: ChannelHandlerContext) -> Bool {
            context.channel.isWritable && peer.unfinished.load(ordering: .relaxed) < ControlPeer.backlog
        }

        private func resume(_ context: ChannelHandlerContext) {
            guard readHeld, hasRoom(context) else { return }
            readHeld = false
            context.read()
        }
    }
}
