import Fleet
import Logging
import NIOCore
import NIOEmbedded

@testable import Link

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Keeps what a channel's pipeline saw.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var bytes = ByteBuffer()
    var reads = 0
    var events: [String] = []
    var errors: [any Error] = []
    var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) { events.append("active") }
    func channelInactive(context: ChannelHandlerContext) { events.append("inactive") }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        events.append(context.channel.isWritable ? "writable" : "unwritable")
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reads += 1
        bytes.writeImmutableBuffer(unwrapInboundIn(data))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: events.append("input closed")
        case ChannelEvent.outputClosed: events.append("output closed")
        default: events.append("\(event)")
        }
    }

    var text: String { String(buffer: bytes) }
}

/// A stream's channel and what it saw.
struct Ended {
    let channel: any Channel
    let recorder: Recorder

    func write(_ text: String) { write(ByteBuffer(string: text)) }
    func write(_ buffer: ByteBuffer) { channel.writeAndFlush(buffer, promise: nil) }
    func read() { channel.read() }
}

/// Two plain links back to back in memory, on one embedded event loop, moved by `pump()`.
final class MemoryPair {
    let loop = EmbeddedEventLoop()
    let clientChannel: EmbeddedChannel
    let serverChannel: EmbeddedChannel
    private(set) var accepted: [Ended] = []
    let client: LinkConnection
    let server: LinkConnection
    /// Bytes of each transfer, client to server.
    var sentByClient = ByteBuffer()

    init(
        _ configuration: LinkConfiguration = LinkConfiguration(), autoRead: Bool = true, refuse: Bool = false
    ) throws {
        clientChannel = EmbeddedChannel(loop: loop)
        serverChannel = EmbeddedChannel(loop: loop)
        let box = NIOLoopBoxed()
        for channel in [clientChannel, serverChannel] {
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/none")).wait()
        }
        server = try Link.attachPlain(to: serverChannel, role: .server, configuration: configuration, logger: quiet) {
            channel, _ in
            if refuse { return channel.eventLoop.makeFailedFuture(LinkError(.refused, "not today")) }
            return channel.eventLoop.makeCompletedFuture {
                try channel.syncOptions?.setOption(.autoRead, value: autoRead)
                let recorder = Recorder()
                try channel.pipeline.syncOperations.addHandler(recorder)
                box.accept(Ended(channel: channel, recorder: recorder))
            }
        }.wait()
        client = try Link.attachPlain(to: clientChannel, role: .client, configuration: configuration, logger: quiet) {
            channel, _ in channel.eventLoop.makeFailedFuture(LinkError(.refused, "clients take none"))
        }.wait()
        box.pair = self
    }

    deinit {
        _ = try? clientChannel.finish(acceptAlreadyClosed: true)
        _ = try? serverChannel.finish(acceptAlreadyClosed: true)
        loop.run()
    }

    fileprivate func accept(_ stream: Ended) { accepted.append(stream) }

    /// Moves bytes both ways until nothing moves any more.
    /// - Parameter delay: of the bytes in each direction, for round-trip times.
    func pump(limit: Int = 100_000) throws {
        for _ in 0..<limit {
            loop.run()
            var moved = false
            var burst = false
            while let bytes = try clientChannel.readOutbound(as: ByteBuffer.self) {
                sentByClient.writeImmutableBuffer(bytes)
                serverChannel.pipeline.fireChannelRead(bytes)
                burst = true
            }
            if burst { serverChannel.pipeline.fireChannelReadComplete() }
            moved = moved || burst
            burst = false
            while let bytes = try serverChannel.readOutbound(as: ByteBuffer.self) {
                clientChannel.pipeline.fireChannelRead(bytes)
                burst = true
            }
            if burst { clientChannel.pipeline.fireChannelReadComplete() }
            if !moved, !burst { return }
        }
    }

    /// Opens a stream of the client; what the opener writes in this tick goes with the SYN.
    func open(autoRead: Bool = true) throws -> Ended {
        let recorder = NIOLoopBound(Recorder(), eventLoop: loop)
        let future = client.openStream { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.syncOptions?.setOption(.autoRead, value: autoRead)
                try channel.pipeline.syncOperations.addHandler(recorder.value)
            }
        }
        return Ended(channel: try future.wait(), recorder: recorder.value)
    }

    /// The frame headers that the client has sent so far.
    var clientFrames: [FrameHeader] {
        var decoder = FrameDecoder()
        decoder.feed(sentByClient)
        var frames: [FrameHeader] = []
        while let event = try? decoder.next() {
            if case .header(let frame) = event { frames.append(frame) }
        }
        return frames
    }
}

/// Carries accepted streams to the pair, which does not exist yet when its acceptor is made.
private final class NIOLoopBoxed: @unchecked Sendable {  // unchecked: embedded channels run on the test's one thread
    weak var pair: MemoryPair?

    func accept(_ stream: Ended) { pair?.accept(stream) }
}

/// One plain link against a peer that the test plays with bytes.
final class RawPeer {
    let channel: EmbeddedChannel
    let link: LinkConnection
    private(set) var closedBecause: (any Error)?
    private(set) var isClosed = false

    init(role: LinkRole = .server, _ configuration: LinkConfiguration = LinkConfiguration()) throws {
        channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/none")).wait()
        link = try Link.attachPlain(to: channel, role: role, configuration: configuration, logger: quiet) { stream, _ in
            stream.eventLoop.makeSucceededVoidFuture()
        }.wait()
        channel.embeddedEventLoop.run()
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        link.closed.whenComplete { result in
            bound.value.isClosed = true
            if case .failure(let error) = result { bound.value.closedBecause = error }
        }
    }

    func finish() {
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    func send(_ bytes: [UInt8]) {
        channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
        channel.pipeline.fireChannelReadComplete()
        channel.embeddedEventLoop.run()
    }

    func send(_ frames: FrameHeader..., payload: [UInt8] = []) {
        var buffer = ByteBuffer()
        for frame in frames { buffer.writeFrameHeader(frame) }
        buffer.writeBytes(payload)
        send(Array(buffer.readableBytesView))
    }

    /// What the link sent since the last call.
    func sent() throws -> [UInt8] {
        channel.embeddedEventLoop.run()
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return bytes
    }
}
