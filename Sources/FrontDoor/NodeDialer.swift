internal import Engine
internal import Fleet
internal import Link
internal import NIOCore
internal import Session

/// Dials the guard of another node, or a container's port behind it: a stream of the link to that node, which costs no round
/// trip where the link stands.
struct NodeDialer: DockerDialer {
    let control: any ControlPlane
    let node: NodeID
    let purpose: String
    /// The workload's ticket, or nil for calls that concern the tenant only.
    let ticket: Ticketing?
    /// Without a ticket: the workload whose ticket the gateway sends to the node itself.
    var awaits: WorkloadID?
    /// The container's port that is meant; nil for Docker's API.
    var port: (number: UInt16, isUDP: Bool)?

    struct Ticketing: Sendable {
        var ticket: [UInt8]
        /// Fetches a newer one where the ticket is about to expire; nil while it is fresh.
        var renew: (@Sendable () async throws -> [UInt8])?
    }

    func dial(
        on loop: any EventLoop, _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
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
        guard let port else {
            return link.openDockerStream(ticket: ticket, awaits: awaits, purpose: purpose, initializer)
        }
        return link.openPortStream(ticket: ticket, port: port.number, datagrams: port.isUDP, initializer)
    }
}
