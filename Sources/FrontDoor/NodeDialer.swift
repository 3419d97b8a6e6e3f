internal import Engine
internal import Fleet
internal import Link
internal import NIOCore
internal import Session

/// Dials the guard of another node, or a container's port or a mount's mirror behind it: a stream of the link to that node, which costs no round
/// trip where the link stands.
struct NodeDialer: DockerDialer {
    let control: any ControlPlane
    let node: NodeID
    let purpose: String
    /// The workload's ticket, or nil for calls that concern the tenant only.
    let ticket: Ticketing?
    /// Without a ticket: the workload whose ticket the gateway sends to the node itself.
    var awaits: WorkloadID?
    var kind = Kind.docker
    /// Ids of containers that are others at the node.
    var aliases = AliasSource.fixed(nil)
    /// The engine here, for a container that came back to this device.
    var here: EngineDialer?

    enum Kind: Sendable {
        /// Docker's API, as the guard lets it through.
        case docker
        /// A port of the workload's container.
        case port(UInt16, isUDP: Bool)
        /// The mirror of a path of this device.
        case mount(source: String, isFile: Bool)
        /// A volume, or the workload's writable layer where none is named.
        case tree(volume: String, writes: Bool)
    }

    struct Ticketing: Sendable {
        var ticket: [UInt8]
        /// Fetches a newer one where the ticket is about to expire; nil while it is fresh.
        var renew: (@Sendable () async throws -> [UInt8])?
    }

    func dial(
        on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        if let here { return here.dial(on: loop, initializer) }
        if ticket?.renew == nil, let link = control.existingLink(to: node) {
            return open(on: link, ticket: ticket?.ticket ?? [], initializer)
        }
        // A future must come of an async call: the task ends when the stream stands, or the call fails.
        return loop.makeFutureWithTask {
            let bytes = try await ticket?.renew?() ?? ticket?.ticket ?? []
            return try await open(on: control.link(to: node), ticket: bytes, initializer).get()
        }
    }

    private func open(
        on link: LinkConnection, ticket: [UInt8],
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        switch kind {
        case .docker:
            link.openDockerStream(ticket: ticket, awaits: awaits, purpose: purpose) { [aliases] channel in
                AliasHandler.add(aliases, to: channel).flatMap { initializer(channel) }
            }
        case .port(let port, let isUDP):
            link.openPortStream(ticket: ticket, port: port, datagrams: isUDP, initializer)
        case .mount(let source, let isFile):
            link.openMountStream(ticket: ticket, source: source, isFile: isFile, initializer)
        case .tree(let volume, let writes):
            link.openTreeStream(ticket: ticket, volume: volume, writes: writes, initializer)
        }
    }
}
