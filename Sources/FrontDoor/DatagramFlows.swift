internal import Engine
internal import Link
internal import NIOCore

/// A UDP port's socket: each client that sends to it has a stream of its own to the container's port.
///
/// A flow ends when nothing has come either way for as long as Docker's own proxy waits. As on any network, datagrams are
/// lost where there is no room for them.
final class DatagramFlows: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    fileprivate static let patience = TimeAmount.seconds(90)
    private static let limit = 1024
    /// Datagrams of one client that wait for its stream.
    private static let waiting = 64

    private let route: PortListener.Route
    private var flows: [SocketAddress: Flow] = [:]

    fileprivate final class Flow {
        var stream: (any Channel)?
        var early: [ByteBuffer] = []
        var lastUse = NIODeadline.now()
    }

    init(route: @escaping PortListener.Route) { self.route = route }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let framed = envelope.data.asDatagram else { return }
        let flow = flows[envelope.remoteAddress] ?? begin(with: envelope.remoteAddress, context: context)
        guard let flow else { return }
        flow.lastUse = .now()
        if let stream = flow.stream {
            if stream.isWritable { stream.writeAndFlush(framed, promise: nil) }
        } else if flow.early.count < Self.waiting {
            flow.early.append(framed)
        }
    }

    /// A flow for a client that was not heard of; nil where there are too many.
    private func begin(with client: SocketAddress, context: ChannelHandlerContext) -> Flow? {
        guard flows.count < Self.limit else { return nil }
        let flow = Flow()
        flows[client] = flow
        let socket = context.channel
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, flow), eventLoop: loop)
        let dialer = NodeLoop.assumeIsolated { [route] in route() }
        dialer.dial(on: loop) { stream in
            stream.eventLoop.makeCompletedFuture {
                let (_, flow) = bound.value
                try stream.pipeline.syncOperations.addHandler(FlowEnd(flow, of: client, socket: socket))
            }
        }.hop(to: loop).whenComplete { result in
            let (flows, flow) = bound.value
            switch result {
            case .failure: flows.flows[client] = nil
            case .success(let stream):
                for datagram in flow.early { stream.write(datagram, promise: nil) }
                stream.flush()
                flow.early = []
                flow.stream = stream
                stream.closeFuture.hop(to: loop).whenComplete { _ in bound.value.0.flows[client] = nil }
                // A socket that has gone in between took its flows with it.
                if !socket.isActive { stream.close(promise: nil) }
            }
        }
        return flow
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}

    func channelInactive(context: ChannelHandlerContext) {
        for flow in flows.values { flow.stream?.close(promise: nil) }
    }
}

/// The stream of one flow: what the container sends goes back to the client.
private final class FlowEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let flow: DatagramFlows.Flow
    private let client: SocketAddress
    private let socket: any Channel
    private var decoder = DatagramDecoder()
    private var timer: RepeatedTask?

    init(_ flow: DatagramFlows.Flow, of client: SocketAddress, socket: any Channel) {
        self.flow = flow
        self.client = client
        self.socket = socket
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        let bound = NIOLoopBound(flow, eventLoop: context.eventLoop)
        let step = TimeAmount.seconds(30)
        timer = context.eventLoop.scheduleRepeatedTask(initialDelay: step, delay: step) { _ in
            if NIODeadline.now() - bound.value.lastUse > DatagramFlows.patience { channel.close(promise: nil) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        flow.lastUse = .now()
        decoder.feed(unwrapInboundIn(data))
        while let datagram = decoder.next() {
            socket.write(AddressedEnvelope(remoteAddress: client, data: datagram), promise: nil)
        }
        socket.flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
