import NIOCore
import NIOEmbedded
import Testing

@testable import Session

struct StreamAnnouncementTests {
    /// Says something as soon as it hears that the stream is open.
    private final class Eager: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HEAD /")), promise: nil)
            context.fireChannelActive()
        }
    }

    @Test("A handler hears that its stream is open, and what it says then follows the announcement")
    func order() throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(StreamAnnouncement(ByteBuffer(string: "open")))
        try channel.pipeline.syncOperations.addHandler(Eager())
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "open"))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "HEAD /"))
        #expect(throws: ChannelPipelineError.self) {
            _ = try channel.pipeline.syncOperations.handler(type: StreamAnnouncement.self)
        }
        _ = try channel.finish()
    }
}
