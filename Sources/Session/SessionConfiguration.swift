package import Fleet
package import Link
package import NIOCore
package import Trust
package import Wire

/// Serves a stream that a peer opened: installs its handlers on `stream`; the future completes when they are in, and fails
/// for a kind that is not served.
///
/// Runs on the stream's event loop. Bytes that came behind the opening message are fired through the pipeline afterwards.
/// `peer` is the node at the other end, of this node's tenant.
package typealias PeerStreamHandler =
    @Sendable (_ stream: any Channel, _ kind: Lighter_V1_StreamOpen.OneOf_Kind, _ peer: PeerIdentity)
    -> EventLoopFuture<Void>

package struct SessionConfiguration: Sendable {
    /// Where `Credentials` are loaded from and saved to.
    package var credentialsDirectory: String
    /// `HOST:PORT` of the gateways, tried in turn; IPv6 hosts in brackets.
    package var gateways: [String]
    /// Where other nodes may dial this one, `HOST:PORT`, best first.
    package var advertisedAddresses: [String]
    /// An existing directory of this node's own, for the sequence numbers' reservation.
    package var stateDirectory: String
    /// Lighter's version, told to the gateway.
    package var version: String
    /// This node with its measures of now; `state` is `.ready` or `.engineDown`. Called on the event loop at each heartbeat.
    package var describeNode: @Sendable () -> Node
    package var link: LinkConfiguration
    /// Takes the ticket of a workload that was placed here, as the gateway sends it; the guard checks it. On the loop.
    package var ticketArrived: @Sendable (_ ticket: [UInt8]) -> Void
    /// Hears of this device's work that has ended at another node. On the loop.
    package var workloadEnded: @Sendable (WorkloadEnd) -> Void = { _ in }
    /// What is told of this node's leases; nil where it takes no exclusive work. Called on the loop.
    package var leases: @Sendable () -> (any LeaseHolder)? = { nil }

    package init(
        credentialsDirectory: String, gateways: [String], advertisedAddresses: [String] = [], stateDirectory: String,
        version: String = "", link: LinkConfiguration = LinkConfiguration(),
        describeNode: @escaping @Sendable () -> Node, ticketArrived: @escaping @Sendable ([UInt8]) -> Void = { _ in }
    ) {
        self.credentialsDirectory = credentialsDirectory
        self.gateways = gateways
        self.advertisedAddresses = advertisedAddresses
        self.stateDirectory = stateDirectory
        self.version = version
        self.link = link
        self.describeNode = describeNode
        self.ticketArrived = ticketArrived
    }
}
