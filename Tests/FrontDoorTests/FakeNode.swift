import Engine
import Fleet
import Link
import Logging
import Mounts
import NIOCore
import NIOPosix
import Synchronization

/// Another node: the far end of a link, which joins every stream to an engine's socket as a guard would.
final class FakeNode: Sendable {
    let link: LinkConnection
    private let server: any Channel
    private let streams = OpenedStreams()

    /// - Parameters:
    ///   - path: of the link's socket.
    ///   - enginePath: where the node's engine listens.
    ///   - mirror: the folder that is the mirror of whatever is mounted.
    init(path: String, enginePath: String, mirror: String? = nil) async throws {
        let opened = streams
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                Link.attachPlain(to: channel, role: .server, logger: quiet) { stream, _ in
                    stream.eventLoop.makeCompletedFuture {
                        try stream.pipeline.syncOperations.addHandler(
                            FarEnd(enginePath: enginePath, mirror: mirror, opened: opened))
                    }
                }.map { _ in }
            }
            .bind(unixDomainSocketPath: path).get()
        let loop = NodeLoop.shared.loop
        link = try await ClientBootstrap(group: loop).connect(unixDomainSocketPath: path).flatMap { channel in
            Link.attachPlain(to: channel, role: .client, logger: quiet) { stream, _ in
                stream.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
            }
        }.get()
    }

    /// The opening messages of all streams so far, as bytes.
    var openings: [String] { streams.all }

    func stop() async {
        link.close(nil)
        try? await server.close()
    }
}

final class OpenedStreams: Sendable {
    private let messages = Mutex<[String]>([])
    var all: [String] { messages.withLock { $0 } }
    func note(_ message: ByteBuffer) { messages.withLock { $0.append(String(buffer: message)) } }
}

/// Takes a stream's opening message off, then passes bytes between the stream and a connection to the engine.
private final class FarEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let enginePath: String
    private let mirror: String?
    private let opened: OpenedStreams
    private var input = ByteBuffer()
    private var isOpen = false

    init(enginePath: String, mirror: String?, opened: OpenedStreams) {
        self.enginePath = enginePath
        self.mirror = mirror
        self.opened = opened
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        input.writeImmutableBuffer(unwrapInboundIn(data))
        guard !isOpen, let message = takeMessage() else { return }
        isOpen = true
        opened.note(message)
        if let mirror, message.readableBytesView.first == Self.mountField { return keep(mirror, context) }
        let stream = context.channel
        let half = Half(to: stream)
        let bound = NIOLoopBound((self, half), eventLoop: context.eventLoop)
        ClientBootstrap(group: context.eventLoop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value.1) }
            }
            .connect(unixDomainSocketPath: enginePath).whenComplete { result in
                switch result {
                case .failure: stream.close(promise: nil)
                case .success(let engine): bound.value.0.join(stream, engine)
                }
            }
    }

    /// The key of `StreamOpen.mount`.
    private static let mountField: UInt8 = 6 << 3 | 2

    private func keep(_ mirror: String, _ context: ChannelHandlerContext) {
        do {
            let pipe = try ChannelPipe.prepare(context.channel)
            context.fireChannelRead(wrapInboundOut(input))
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            Task {
                try await pipe.with { pipe in
                    try await MountSession(
                        side: .target, root: MountRoot(path: mirror),
                        options: MountOptions(basePath: "\(mirror).memory", targetName: "cloud1"), pipe: pipe,
                        pool: .singleton
                    ).run()
                }
            }
        } catch {
            context.close(promise: nil)
        }
    }

    private func join(_ stream: any Channel, _ engine: any Channel) {
        engine.writeAndFlush(input, promise: nil)
        do {
            try stream.pipeline.syncOperations.addHandler(Half(to: engine), position: .last)
            stream.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            engine.close(promise: nil)
        }
    }

    /// A varint length, then so many bytes.
    private func takeMessage() -> ByteBuffer? {
        var length = 0
        var shift = 0
        for (index, byte) in input.readableBytesView.enumerated() {
            length |= Int(byte & 0x7f) << shift
            shift += 7
            if byte & 0x80 == 0 {
                guard input.readableBytes >= index + 1 + length else { return nil }
                input.moveReaderIndex(forwardBy: index + 1)
                return input.readSlice(length: length)
            }
        }
        return nil
    }
}

extension FarEnd: RemovableChannelHandler {}

/// Passes what its channel reads to another, with back-pressure and half-closure.
private final class Half: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let other: any Channel

    init(to other: any Channel) { self.other = other }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = context.channel
        let written = other.writeAndFlush(unwrapInboundIn(data))
        guard !other.isWritable else { return }
        channel.setOption(.autoRead, value: false).whenComplete { _ in
            written.whenComplete { _ in _ = channel.setOption(.autoRead, value: true) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        let other = other
        other.writeAndFlush(ByteBuffer()).whenComplete { _ in other.close(mode: .output, promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let other = other
        other.writeAndFlush(ByteBuffer()).whenComplete { _ in other.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
