package import NIOCore
package import Wire

/// Bytes of a control stream to envelopes and back.
///
/// Bytes that are no envelope end the stream: `WireError` is fired, then the channel is closed.
package final class EnvelopeCodec: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = Lighter_V1_Envelope
    package typealias OutboundIn = Outgoing
    package typealias OutboundOut = ByteBuffer

    package enum Outgoing: Sendable {
        case message(Lighter_V1_Envelope)
        /// Framed already: one encoding serves many streams.
        case encoded(ByteBuffer)
    }

    private var decoder = DelimitedDecoder()

    package init() {}

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.feed(unwrapInboundIn(data).readableBytesView)
        do {
            while let envelope = try decoder.next(Lighter_V1_Envelope.self) {
                context.fireChannelRead(wrapInboundOut(envelope))
            }
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .encoded(let frame): context.write(wrapOutboundOut(frame), promise: promise)
        case .message(let envelope):
            do {
                let bytes = try Framing.encode(envelope)
                context.write(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: promise)
            } catch {
                promise?.fail(error)
            }
        }
    }
}
