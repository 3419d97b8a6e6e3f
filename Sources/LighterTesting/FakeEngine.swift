package import DockerAPI
package import NIOCore
import NIOPosix
import Synchronization

/// An engine that answers as a test tells it to, on a Unix socket.
package final class FakeEngine: Sendable {
    package struct Request: Sendable {
        package var head: RequestHead
        package var body: ByteBuffer
        /// Grows with each connection that the engine accepted, from 1.
        package var connection: Int
        /// `GET /containers/json`, without the version.
        package var line: String { "\(head.method) \(head.routePath)" }
    }

    package enum Answer: Sendable {
        case json(JSON, status: Int = 200)
        /// Bytes as they are; the connection stays open.
        case raw(String)
        /// The same for what is no text.
        case bytes(ByteBuffer)
        /// Bytes as they are, then the connection is closed.
        case rawThenClose(String)
        /// The head of a chunked answer; `emit` sends pieces to it.
        case stream
        /// Closes without a word.
        case drop
        /// Leaves the client waiting.
        case silence
        /// The test answers by itself, with a handler of its own for all that follows.
        case hand(@Sendable (any Channel) -> Void)
    }

    package typealias Script = @Sendable (Request) -> Answer

    private struct State {
        var server: (any Channel)?
        var requests: [Request] = []
        var streams: [any Channel] = []
        var accepted: [any Channel] = []
        var connections = 0
        var answersSent = 0
    }

    package let path: String
    private let script: Script
    private let state = Mutex(State())

    package init(path: String, script: @escaping Script) {
        self.path = path
        self.script = script
    }

    package func start() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                let number = self.state.withLock { state in
                    state.connections += 1
                    state.accepted.append(channel)
                    return state.connections
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeEngineHandler(self, connection: number))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        state.withLock { $0.server = server }
    }

    /// Stops listening and closes every connection, as an engine that is killed.
    package func stop() async {
        let channels = state.withLock { state in
            let channels = [state.server].compactMap { $0 } + state.accepted
            state.server = nil
            state.accepted = []
            state.streams = []
            return channels
        }
        for channel in channels { try? await channel.close() }
    }

    /// Everything that was asked so far.
    package var requests: [Request] { state.withLock { $0.requests } }
    package var connections: Int { state.withLock { $0.connections } }
    /// How many `raw` answers have left this process.
    package var answersSent: Int { state.withLock { $0.answersSent } }

    /// Sends a line to every open stream.
    package func emit(_ json: JSON) async throws {
        var line = json.buffer
        line.writeString("\n")
        for stream in state.withLock({ $0.streams }) {
            try await stream.writeAndFlush(ChunkedEncoding.chunk(line))
        }
    }

    /// Sends bytes to every open stream as they are: the beginning of a line, for one.
    package func emit(bytes: ByteBuffer) async throws {
        for stream in state.withLock({ $0.streams }) { try await stream.writeAndFlush(ChunkedEncoding.chunk(bytes)) }
    }

    /// - Returns: whether the connection is the test's own from now on.
    fileprivate func answer(_ request: Request, on channel: any Channel) -> Bool {
        state.withLock { $0.requests.append(request) }
        let answer = script(request)
        switch answer {
        case .json(let json, let status):
            let bytes = DockerResponseBytes.json(json, status: status, version: "1.41", method: request.head.method)
            channel.writeAndFlush(bytes, promise: nil)
        case .raw(let text):
            channel.writeAndFlush(ByteBuffer(string: text)).whenSuccess {
                self.state.withLock { $0.answersSent += 1 }
            }
        case .bytes(let bytes): channel.writeAndFlush(bytes, promise: nil)
        case .rawThenClose(let text):
            channel.writeAndFlush(ByteBuffer(string: text)).whenComplete { _ in channel.close(promise: nil) }
        case .stream:
            state.withLock { $0.streams.append(channel) }
            channel.writeAndFlush(
                DockerResponseBytes.chunkedHead(contentType: "application/json", version: "1.41"), promise: nil)
        case .drop: channel.close(promise: nil)
        case .silence: break
        case .hand(let take): take(channel)
        }
        if case .hand = answer { return true }
        return false
    }
}

private final class FakeEngineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let engine: FakeEngine
    private let connection: Int
    private var input = ByteBuffer()
    private var parser = HeadParser<RequestHead>()
    private var current: (head: RequestHead, reader: BodyReader, body: ByteBuffer)?
    private var isHandedOver = false

    init(_ engine: FakeEngine, connection: Int) {
        self.engine = engine
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isHandedOver { return context.fireChannelRead(data) }
        input.writeImmutableBuffer(unwrapInboundIn(data))
        do throws(HTTPError) {
            try process(context.channel)
        } catch {
            let answer = DockerFailure(error).response(version: nil, closing: true)
            context.writeAndFlush(NIOAny(answer), promise: nil)
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isHandedOver { return context.fireUserInboundEventTriggered(event) }
        if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
    }

    private func process(_ channel: any Channel) throws(HTTPError) {
        while true {
            if current == nil {
                guard let head = try parser.parse(&input) else { return }
                if head.expectsContinue {
                    channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"), promise: nil)
                }
                current = (head, BodyReader(head.framing), ByteBuffer())
            }
            while let part = try current?.reader.next(&input) {
                if let payload = part.payload { current?.body.writeImmutableBuffer(payload) }
            }
            guard let done = current, done.reader.isComplete else { return }
            current = nil
            isHandedOver = engine.answer(.init(head: done.head, body: done.body, connection: connection), on: channel)
            if isHandedOver { return }
        }
    }
}
