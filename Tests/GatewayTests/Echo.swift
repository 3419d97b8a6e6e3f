import Link
import NIOCore
import Session
import Trust
import Wire

/// Sends back what it gets, after the purpose that the stream was opened for.
final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    static let serve: PeerStreamHandler = { stream, kind, peer in
        guard case .docker(let call) = kind else {
            return stream.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        return stream.eventLoop.makeCompletedFuture {
            stream.writeAndFlush(ByteBuffer(string: "\(call.purpose) of \(peer):"), promise: nil)
            try stream.pipeline.syncOperations.addHandler(Echo())
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(mode: .output, promise: nil) }
    }
}

/// Gathers what comes until the peer has said all.
final class Gather: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var bytes = ByteBuffer()
    private let done: EventLoopPromise<ByteBuffer>

    init(_ done: EventLoopPromise<ByteBuffer>) { self.done = done }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var more = unwrapInboundIn(data)
        bytes.writeBuffer(&more)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { done.succeed(bytes) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { done.fail(error) }
    func channelInactive(context: ChannelHandlerContext) { done.fail(ChannelError.ioOnClosedChannel) }

    /// Sends `message` on a Docker stream of `link`, ends that half, and answers all that came back.
    static func exchange(_ message: ByteBuffer, on link: LinkConnection) async throws -> ByteBuffer {
        let done = link.eventLoop.makePromise(of: ByteBuffer.self)
        let opened = link.openDockerStream(ticket: [1, 2, 3], purpose: "test") { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Gather(done)) }
        }
        opened.whenFailure { done.fail($0) }
        let channel = try await opened.get()
        try await channel.writeAndFlush(message)
        try await channel.close(mode: .output)
        let answer = try await done.futureResult.get()
        channel.close(promise: nil)
        return answer
    }
}
