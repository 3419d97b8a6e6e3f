import DockerAPI
import Engine
import Fleet
import Link
import NIOCore
import NIOPosix
import Trust
import Wire

/// Connections to the ports of containers that run here for other nodes.
extension Guard {
    /// Joins a stream to a port of the container that its ticket is for; fails where there is none to connect to.
    nonisolated func accept(
        stream: any Channel, port call: Lighter_V1_PortCall, peer: PeerIdentity
    ) -> EventLoopFuture<Void> {
        let ticket = Array(call.ticket)
        return stream.eventLoop.makeFutureWithTask { @NodeLoop in
            guard let port = UInt16(exactly: call.port), port > 0, ["tcp", "udp"].contains(call.protocol) else {
                throw DockerFailure(status: 400, message: "lighter: \(call.port)/\(call.protocol) is no port")
            }
            let address = try await self.address(of: self.caller(ticket: ticket, peer: peer))
            let remote = try SocketAddress(ipAddress: address, port: Int(port))
            if call.protocol == "udp" {
                try await self.joinDatagrams(stream, to: remote)
            } else {
                try await self.join(stream, to: remote)
            }
        }
    }

    private func address(of caller: Result<CallScope, DockerFailure>) async throws(DockerFailure) -> String {
        guard let ticket = try caller.get().ticket else {
            throw DockerFailure(status: 403, message: "lighter: a port is reached with its workload's ticket only")
        }
        try checkStillValid(ticket)
        let records = inventory.index.containers(of: ticket.workload).filter { !$0.isLocal }
        guard let record = records.first(where: { $0.workload.version.epoch == ticket.epoch }) else {
            throw .noSuchContainer("of workload \(ticket.workload)")
        }
        if let known = addresses[record] { return known }
        guard let found = try await inventory.networkAddress(of: record.id) else {
            throw DockerFailure(status: 409, message: "lighter: the container has no address: it does not run")
        }
        addresses[record] = found
        return found
    }

    private func join(_ stream: any Channel, to remote: SocketAddress) async throws {
        let progress = SpliceProgress()
        let port = try await ClientBootstrap(group: stream.eventLoop)
            .connectTimeout(.seconds(10))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Nothing is read before there is somebody to hand it to.
                    try channel.syncOptions?.setOption(.autoRead, value: false)
                    try channel.pipeline.syncOperations.addHandler(SpliceEnd(partner: stream, ended: progress))
                }
            }
            .connect(to: remote).get()
        try await stream.eventLoop.submit {
            try stream.pipeline.syncOperations.addHandler(SpliceEnd(partner: port, ended: progress))
            try port.syncOptions?.setOption(.autoRead, value: true)
        }.get()
    }

    private func joinDatagrams(_ stream: any Channel, to remote: SocketAddress) async throws {
        let port = try await DatagramBootstrap(group: stream.eventLoop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator.datagrams)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramSource(stream: stream))
                }
            }
            .connect(to: remote).get()
        try await stream.eventLoop.submit {
            try stream.pipeline.syncOperations.addHandler(DatagramSink(port: port, to: remote))
        }.get()
    }
}

/// Where running containers are on their engine's networks. One that starts again may be elsewhere.
struct ContainerAddresses {
    private var known: [String: (startedAt: Double, address: String)] = [:]
    private static let limit = 4096

    subscript(record: ContainerRecord) -> String? {
        get {
            known[record.id].flatMap { $0.startedAt == record.workload.startedAt ? $0.address : nil }
        }
        set {
            if known.count >= Self.limit { known = [:] }
            known[record.id] = newValue.map { (record.workload.startedAt, $0) }
        }
    }
}

/// Datagrams of a container's port, to the stream; those that it does not take at once are lost, as on any network.
private final class DatagramSource: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let stream: any Channel

    init(stream: any Channel) { self.stream = stream }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard stream.isWritable, let framed = unwrapInboundIn(data).data.asDatagram else { return }
        stream.writeAndFlush(framed, promise: nil)
    }

    // Nobody listens there now; somebody may soon.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
    func channelInactive(context: ChannelHandlerContext) { stream.close(promise: nil) }
}

/// The stream's datagrams, to the container's port.
private final class DatagramSink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let port: any Channel
    private let remote: SocketAddress
    private var decoder = DatagramDecoder()

    init(port: any Channel, to remote: SocketAddress) {
        self.port = port
        self.remote = remote
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.feed(unwrapInboundIn(data))
        while let datagram = decoder.next() {
            port.write(AddressedEnvelope(remoteAddress: remote, data: datagram), promise: nil)
        }
        port.flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    func channelInactive(context: ChannelHandlerContext) { port.close(promise: nil) }
}
