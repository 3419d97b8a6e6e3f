import DockerAPI
import NIOCore

/// A connection to a Docker API that carries one exchange after the other.
///
/// It reads only while its exchange wants bytes, so a slow reader slows the engine down and not the device.
@NodeLoop
final class EngineConnection {
    private var channel: (any Channel)?
    private var input = ByteBuffer()
    private var exchange: Exchange?
    private var parser = HeadParser<ResponseHead>()
    private var reader: BodyReader?
    private var keepsAlive = true
    private var requestSent = false
    private var isReading = false
    private(set) var isClosed = false
    /// Called when another exchange may begin.
    var becameIdle: (@NodeLoop (EngineConnection) -> Void)?
    /// Whether a byte of the current answer has come.
    private(set) var heardOfExchange = false
    private(set) var exchangesBegun = 0

    init() {}

    static func open(_ dialer: any DockerDialer) async throws(EngineError) -> EngineConnection {
        let connection = EngineConnection()
        do {
            let dialled = dialer.dial(on: NodeLoop.shared.loop) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.syncOptions?.setOption(.autoRead, value: false)
                    try channel.pipeline.syncOperations.addHandler(EngineConnectionHandler(connection))
                }
            }
            connection.channel = try await dialled.get()
        } catch {
            throw .wrapping(error)
        }
        return connection
    }

    func begin(_ exchange: Exchange, head: ByteBuffer, body: RequestBody) {
        guard !isClosed, let channel else {
            exchange.fail(EngineError(.closed, "the connection to the engine has ended"))
            return
        }
        self.exchange = exchange
        exchange.connection = self
        exchangesBegun += 1
        heardOfExchange = false
        requestSent = false
        reader = nil
        parser = HeadParser()
        switch body {
        case .none:
            channel.writeAndFlush(head, promise: nil)
            requestSent = true
        case .bytes(let bytes):
            channel.write(head, promise: nil)
            channel.writeAndFlush(bytes, promise: nil)
            requestSent = true
        case .producing(let produce):
            channel.writeAndFlush(head, promise: nil)
            // Unstructured: the answer may begin before the body has been sent, and outlives this call. The exchange ends it.
            exchange.pump = Task { @NodeLoop [weak self] in await self?.send(exchange, produce) }
        }
        readIfWanted()
    }

    private func send(
        _ exchange: Exchange,
        _ produce: @Sendable (_ write: @Sendable (ByteBuffer) async throws -> Void) async throws -> Void
    ) async {
        guard let channel else { return }
        do {
            try await produce { piece in
                try Task.checkCancellation()
                guard piece.readableBytes > 0 else { return }
                try await channel.writeAndFlush(ChunkedEncoding.chunk(piece)).get()
            }
            try Task.checkCancellation()
            try await channel.writeAndFlush(ChunkedEncoding.end).get()
            guard self.exchange === exchange else { return }
            requestSent = true
        } catch {
            // The engine may have refused the request half-way; its answer says more than a broken pipe does.
            guard self.exchange === exchange, !heardOfExchange, !(error is ChannelError) else { return }
            exchange.fail(.wrapping(error))
            close()
        }
    }

    func readIfWanted() {
        guard !isReading, !isClosed, let channel, exchange?.wantsBytes ?? true else { return }
        isReading = true
        channel.read()
    }

    func received(_ bytes: ByteBuffer) {
        guard exchange != nil else {
            close()
            return
        }
        heardOfExchange = true
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.writeImmutableBuffer(bytes)
        }
        do throws(HTTPError) {
            try process()
        } catch {
            exchange?.fail(EngineError(.malformed, error.message, cause: error))
            close()
        }
    }

    func readComplete() {
        isReading = false
        readIfWanted()
    }

    private func process() throws(HTTPError) {
        guard let exchange else { return }
        while reader == nil {
            guard let head = try parser.parse(&input) else { return }
            let framing = head.framing(forMethod: exchange.method)
            if framing == .interim { continue }
            keepsAlive = head.keepAlive && framing != .untilClose && framing != .upgraded
            reader = BodyReader(framing)
            exchange.received(head)
        }
        while let part = try reader?.next(&input) {
            if let payload = part.payload { exchange.received(payload) }
        }
        if reader?.isComplete == true { finish() }
    }

    /// The answer is whole.
    private func finish() {
        guard let exchange else { return }
        exchange.complete()
        guard requestSent, keepsAlive, input.readableBytes == 0 else {
            close()
            return
        }
        self.exchange = nil
        becameIdle?(self)
        readIfWanted()
    }

    /// The peer will send no more.
    func inputClosed() {
        if let exchange {
            if reader != nil, !keepsAlive, reader?.isComplete == false, endsWithConnection {
                exchange.complete()
            } else {
                exchange.fail(EngineError(.closed, "the engine closed the connection before its answer was whole"))
            }
        }
        exchange = nil
        close()
    }

    private var endsWithConnection: Bool {
        guard let head = exchange?.head, let method = exchange?.method else { return false }
        let framing = head.framing(forMethod: method)
        return framing == .untilClose || framing == .upgraded
    }

    func failed(_ error: any Error) {
        exchange?.fail(.wrapping(error))
        exchange = nil
        close()
    }

    func abandon(_ exchange: Exchange) {
        guard self.exchange === exchange else { return }
        self.exchange = nil
        close()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        becameIdle = nil
        channel?.close(promise: nil)
    }
}

/// Hands a channel's events to its connection; has no thoughts of its own.
private final class EngineConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: EngineConnection

    init(_ connection: EngineConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        NodeLoop.assumeIsolated { [connection] in connection.received(bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        NodeLoop.assumeIsolated { [connection] in connection.readComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            NodeLoop.assumeIsolated { [connection] in connection.inputClosed() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        NodeLoop.assumeIsolated { [connection] in connection.inputClosed() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        NodeLoop.assumeIsolated { [connection] in connection.failed(error) }
    }
}
