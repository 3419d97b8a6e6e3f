package import Fleet
import FoundationEssentials
package import Link
package import NIOCore
import Wire

extension LinkConnection {
    /// Opens a stream to the peer's guard on this link; the opening message travels with the stream's first packet.
    ///
    /// - Parameters:
    ///   - ticket: the workload's signed ticket; empty for calls that concern the tenant only.
    ///   - awaits: a workload whose ticket the gateway sends to the peer itself; its create may wait there for it.
    ///   - purpose: what for, as the peer's logs show it: `create`, `attach`, `list`.
    ///   - initializer: installs the caller's handlers, on the link's event loop; they may write at once.
    package func openDockerStream(
        ticket: [UInt8], awaits: WorkloadID? = nil, purpose: String,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        var call = Lighter_V1_DockerCall()
        call.ticket = Data(ticket)
        call.purpose = purpose
        call.awaits = awaits?.hex ?? ""
        var open = Lighter_V1_StreamOpen()
        open.docker = call
        return openStream(announcing: open, initializer)
    }

    /// Opens a stream for a bind mount to its mirror at the peer.
    package func openMountStream(
        ticket: [UInt8], source: String, isFile: Bool,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        var open = Lighter_V1_StreamOpen()
        open.mount.ticket = Data(ticket)
        open.mount.source = source
        open.mount.isFile = isFile
        return openStream(announcing: open, initializer)
    }

    /// Opens a stream to a volume of the peer's engine, or to a container's writable layer where none is named.
    package func openTreeStream(
        ticket: [UInt8], volume: String, writes: Bool,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        var open = Lighter_V1_StreamOpen()
        open.tree.ticket = Data(ticket)
        open.tree.volume = volume
        open.tree.writes = writes
        return openStream(announcing: open, initializer)
    }

    /// Opens a stream to a port of a container at the peer; a peer that cannot connect to it closes the stream.
    ///
    /// - Parameters:
    ///   - ticket: the container's workload's.
    ///   - datagrams: whether UDP is meant: the stream then carries datagrams, see `DatagramDecoder`.
    package func openPortStream(
        ticket: [UInt8], port: UInt16, datagrams: Bool,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        var open = Lighter_V1_StreamOpen()
        open.port.ticket = Data(ticket)
        open.port.port = UInt32(port)
        open.port.protocol = datagrams ? "udp" : "tcp"
        return openStream(announcing: open, initializer)
    }
}
