internal import Engine
internal import Link
internal import NIOCore
internal import NIOPosix

/// A port of this device that leads to one of a container elsewhere: its sockets, one for each address.
struct PortListener: Sendable {
    /// Tells where a connection leads, as it is made: tickets are renewed, links come and go.
    typealias Route = @Sendable @NodeLoop () -> NodeDialer

    /// Why a port cannot be listened on.
    struct Refusal: Error {
        var binding: PublishedPort.Binding
        var reason: IOError
        var isTaken: Bool { reason.errnoCode == EADDRINUSE }
    }

    /// How often another port is looked for when one that is free for one address is not for the other.
    private static let attempts = 16

    let bindings: [PublishedPort.Binding]
    private let sockets: [any Channel]

    /// Listens on the first of the port's candidates that is free on all of its addresses.
    /// - Throws: `Refusal` for the last candidate.
    static func open(_ port: PublishedPort, leadingTo route: @escaping Route) async throws -> PortListener {
        var last: (any Error)?
        let candidates = port.candidates
        // The port that it had before, if any may be had: a restart of the daemon changes nothing.
        let before = candidates == 0...0 ? port.bindings.first.map { [$0.port] } ?? [] : []
        let anew = candidates == 0...0 ? [UInt16](repeating: 0, count: attempts) : Array(candidates)
        for candidate in before + anew {
            do {
                return try await open(port, at: candidate, leadingTo: route)
            } catch let refusal as Refusal {
                last = refusal
                guard refusal.isTaken else { break }
            }
        }
        throw last ?? CancellationError()
    }

    private static func open(
        _ port: PublishedPort, at number: UInt16, leadingTo route: @escaping Route
    ) async throws -> PortListener {
        var sockets: [any Channel] = []
        var bindings: [PublishedPort.Binding] = []
        for address in port.addresses {
            // The second address of a port that any may be gets the first one's.
            let wanted = PublishedPort.Binding(address: address, port: bindings.first?.port ?? number)
            do {
                let socket = try await bind(wanted, isUDP: port.isUDP, route)
                sockets.append(socket)
                bindings.append(
                    .init(address: address, port: socket.localAddress?.port.flatMap { UInt16(exactly: $0) } ?? number))
            } catch let reason as IOError {
                // A machine without IPv6 has nobody who would come that way.
                if !bindings.isEmpty, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(reason.errnoCode) { continue }
                for socket in sockets { try? await socket.close() }
                throw Refusal(binding: wanted, reason: reason)
            }
        }
        return PortListener(bindings: bindings, sockets: sockets)
    }

    private static func bind(
        _ binding: PublishedPort.Binding, isUDP: Bool, _ route: @escaping Route
    ) async throws -> any Channel {
        let loop = NodeLoop.shared.loop
        let address = try SocketAddress(ipAddress: binding.address, port: Int(binding.port))
        // An IPv6 socket that also took IPv4's would be in the way of the one for 0.0.0.0.
        let onlyV6 = ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only)
        if isUDP {
            let bootstrap = DatagramBootstrap(group: loop)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator.datagrams)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramFlows(route: route))
                    }
                }
            return try await (address.protocol == .inet6 ? bootstrap.channelOption(onlyV6, value: 1) : bootstrap)
                .bind(to: address).get()
        }
        let bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 512)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                join(client, NodeLoop.assumeIsolated { route() })
                return client.eventLoop.makeSucceededVoidFuture()
            }
        return try await (address.protocol == .inet6 ? bootstrap.serverChannelOption(onlyV6, value: 1) : bootstrap)
            .bind(to: address).get()
    }

    /// Joins a client's connection to the container's port; one that cannot be reached closes it.
    private static func join(_ client: any Channel, _ dialer: NodeDialer) {
        let progress = SpliceProgress()
        let opened = dialer.dial(on: client.eventLoop) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(SpliceEnd(partner: client, ended: progress))
            }
        }
        opened.hop(to: client.eventLoop).flatMapThrowing { stream in
            client.closeFuture.whenComplete { _ in stream.close(promise: nil) }
            try client.pipeline.syncOperations.addHandler(SpliceEnd(partner: stream, ended: progress))
            try client.syncOptions?.setOption(.autoRead, value: true)
        }.whenFailure { _ in client.close(promise: nil) }
    }

    func close() {
        for socket in sockets { socket.close(promise: nil) }
    }
}
