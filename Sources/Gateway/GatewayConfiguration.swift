package import Fleet
import Leases
package import Link

/// How a gateway behaves.
package struct GatewayConfiguration: Sendable {
    /// This release of the gateway.
    package static let release = "0.1.0"

    package var host = "0.0.0.0"
    package var port = 7700
    package var version = Self.release
    /// The fleet's default policy, below each device's own.
    package var policy = PolicyOverrides()
    /// Between two heartbeats of a node: a late one makes it suspect, three missed ones unreachable.
    package var heartbeat = Duration.seconds(1)
    /// The least time for which a node may believe in its leases after a heartbeat: as long as the gateway may be away
    /// without work that is exclusive having to stop.
    package var leastLease = Duration.zero
    var leases: LeaseTerms { LeaseTerms(heartbeat: heartbeat, least: leastLease) }
    /// The least time between two pushes of changed states.
    package var pushInterval = Duration.milliseconds(100)
    /// The time between pushes of measures.
    package var measureInterval = Duration.seconds(1)
    /// Whether nodes near a lost one are asked to reach it.
    package var asksSecondOpinions = true
    /// Takes in what a workload's node reports of an epoch that the ledger does not have, as after it was restored from a backup.
    /// Else nobody's word is enough: an epoch that was never given out would outlive every later placement.
    package var recoversEpochs = false
    /// How long a lease may stay without a container.
    package var pendingLimit = Duration.seconds(600)
    package var ticketLife = Duration.seconds(24 * 3600)
    package var certificateLife = Duration.seconds(24 * 3600)
    /// Joining machines that may connect at once, and in a burst; the burst refills at two a second.
    package var joinBurst = 32
    /// Nodes whose Hello may be under way at once; more are told when to come back.
    package var greetings = 1024
    package var link = LinkConfiguration()

    package init() {
        // A fleet that comes back at once waits in line, as long as a handshake may take; handshakes that share the processors
        // with hundreds of others would all come too late.
        link.handshakes = 64
        link.waiting = 2048
    }
}
