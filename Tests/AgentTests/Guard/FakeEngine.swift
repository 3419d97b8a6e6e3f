import DockerAPI
import Engine
import Fleet
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// An engine on a Unix socket that answers as it is told, and remembers what it was asked.
@NodeLoop
final class FakeEngine {
    struct Call: Sendable {
        var head: RequestHead
        var body: ByteBuffer
        var json: JSON? { try? JSON.parse(body) }
    }

    enum Answer: Sendable {
        /// Bytes as they are.
        case raw(String)
        /// The same; then maybe the end of the connection.
        case bytes(ByteBuffer, closing: Bool)
        case json(JSON, status: Int = 200)
        /// 101, then everything that comes goes back, and the end with it.
        case echo
        /// Nothing yet: `reply(to:)` says it later.
        case later
    }

    let path: String
    private(set) var calls: [Call] = []
    /// What came through the guard: without its own look at the images that are there before others come.
    var passed: [Call] { calls.filter { $0.head.target != "/images/json?all=1" } }
    var answer: @NodeLoop (Call) -> Answer = { _ in .json([:]) }
    private var server: (any Channel)?
    private var pending: [(path: String, channel: any Channel)] = []
    private var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

    init() { path = "/tmp/lighter-fake-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock" }

    func start() async throws {
        server = try await ServerBootstrap(group: NodeLoop.shared.loop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeEngineHandler(self, channel))
                }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    func stop() async {
        try? await server?.close().get()
        unlink(path)
    }

    fileprivate func called(_ call: Call, on channel: any Channel) -> Answer {
        calls.append(call)
        for waiter in waiters where calls.count >= waiter.count { waiter.continuation.resume() }
        waiters.removeAll { calls.count >= $0.count }
        let answer = answer(call)
        if case .later = answer { pending.append((call.head.routePath, channel)) }
        return answer
    }

    /// Returns when so many requests have come.
    func waitForCalls(_ count: Int) async {
        if calls.count >= count { return }
        await withCheckedContinuation { waiters.append((count, $0)) }
    }

    /// Returns when such a request has come.
    func waitForPath(_ path: String) async {
        while !paths().contains(path) { await waitForCalls(calls.count + 1) }
    }

    /// Answers a request that was left waiting.
    func reply(to suffix: String, _ text: String) {
        guard let index = pending.firstIndex(where: { $0.path.hasSuffix(suffix) }) else { return }
        pending.remove(at: index).channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
    }

    func paths() -> [String] { calls.map { "\($0.head.method) \($0.head.routePath)" } }
}

private final class FakeEngineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let engine: FakeEngine
    private let channel: any Channel
    private var inbound = ByteBuffer()
    private var parser = HeadParser<RequestHead>()
    private var head: RequestHead?
    private var reader = BodyReader(BodyFraming.none)
    private var body = ByteBuffer()
    private var isEcho = false

    init(_ engine: FakeEngine, _ channel: any Channel) {
        self.engine = engine
        self.channel = channel
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if isEcho {
            channel.writeAndFlush(bytes, promise: nil)
            return
        }
        inbound.writeBuffer(&bytes)
        do { try parse() } catch { context.close(promise: nil) }
    }

    private func parse() throws {
        while true {
            if head == nil {
                guard let next = try parser.parse(&inbound) else { return }
                parser = HeadParser()
                head = next
                reader = BodyReader(next.framing)
                body = ByteBuffer()
            }
            while let part = try reader.next(&inbound) {
                if let payload = part.payload { body.writeImmutableBuffer(payload) }
            }
            guard reader.isComplete, let complete = head else { return }
            head = nil
            let call = FakeEngine.Call(head: complete, body: body)
            let engine = engine
            let channel = channel
            switch NodeLoop.assumeIsolated({ engine.called(call, on: channel) }) {
            case .raw(let text): channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
            case .bytes(let bytes, let isClosing):
                let channel = channel
                channel.writeAndFlush(bytes).whenComplete { _ in if isClosing { channel.close(promise: nil) } }
            case .json(let json, let status):
                channel.writeAndFlush(
                    DockerResponseBytes.json(json, status: status, version: nil, method: complete.method), promise: nil)
            case .echo:
                isEcho = true
                let hello = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
                channel.writeAndFlush(ByteBuffer(string: hello), promise: nil)
                if inbound.readableBytes > 0 { channel.writeAndFlush(inbound, promise: nil) }
                return
            case .later: break
            }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, event == .inputClosed else { return }
        if isEcho {
            channel.writeAndFlush(ByteBuffer(string: "<eof>")).whenComplete { [channel] _ in channel.close(promise: nil)
            }
        } else {
            context.close(promise: nil)
        }
    }
}
