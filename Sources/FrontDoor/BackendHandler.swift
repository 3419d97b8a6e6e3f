internal import NIOCore

/// The engine's side of an exchange: hands what it sees to the client's handler, on the same event loop.
final class BackendHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long an engine may take to read what a client said before it went.
    private static let patience = TimeAmount.seconds(30)

    private weak var client: ClientHandler?
    private(set) var channel: (any Channel)?
    private(set) var inputClosed = false
    /// Written before the connection stood.
    private var waiting: [ByteBuffer] = []
    private var closesOutput = false
    private var isReading = true
    /// The client has gone; what it said last is still on its way.
    private var isDraining = false

    init(client: ClientHandler) {
        self.client = client
    }

    func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        if context.channel.isActive { connected(context.channel) }
    }

    func channelActive(context: ChannelHandlerContext) {
        connected(context.channel)
        context.fireChannelActive()
    }

    private func connected(_ channel: any Channel) {
        guard !isAbandoned else { return channel.close(promise: nil) }
        for buffer in waiting { channel.write(buffer, promise: nil) }
        waiting = []
        channel.flush()
        if closesOutput { finishOutput(channel) }
        if isDraining { closeBehindOutput(channel) }
        if !isReading { setReading(false) }
        // What waited for the connection can go on.
        client?.backendWritabilityChanged(self)
    }

    /// Whether nobody wants anything of it any more.
    var isAbandoned: Bool { client == nil && !isDraining }

    var isWritable: Bool { channel.map { $0.isActive && $0.isWritable } ?? waiting.isEmpty }

    func write(_ buffer: ByteBuffer) {
        if let channel, channel.isActive { channel.write(buffer, promise: nil) } else { waiting.append(buffer) }
    }

    func flush() { channel?.flush() }

    /// Ends this side's output behind everything written.
    func closeOutput() {
        guard !closesOutput else { return }
        closesOutput = true
        if let channel, channel.isActive { finishOutput(channel) }
    }

    private func finishOutput(_ channel: any Channel) {
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(mode: .output, promise: nil) }
    }

    /// Lets go of the client: nothing is told to it any more, and the connection closes.
    func abandon() {
        client = nil
        isDraining = false
        waiting = []
        channel?.close(promise: nil)
    }

    /// Lets go of the client, but closes behind what it had said: an engine would have read that, too.
    func abandonBehindOutput() {
        client = nil
        isDraining = true
        setReading(true)
        closeOutput()
        if let channel, channel.isActive { closeBehindOutput(channel) }
    }

    private func closeBehindOutput(_ channel: any Channel) {
        let limit = channel.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in
            limit.cancel()
            channel.close(promise: nil)
        }
    }

    func setReading(_ reading: Bool) {
        isReading = reading
        guard let channel, channel.isActive else { return }
        _ = channel.setOption(.autoRead, value: reading)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client?.backendRead(unwrapInboundIn(data), from: self)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        client?.backendReadComplete(from: self)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        client?.backendWritabilityChanged(self)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            inputClosed = true
            client?.backendInputClosed(from: self)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inputClosed = true
        client?.backendGone(self, error: nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        client?.backendGone(self, error: error)
        context.close(promise: nil)
    }
}
