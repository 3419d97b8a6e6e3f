package import Fleet

/// The part of a node that holds leases for exclusive work, as its session with the gateway tells it of them.
///
/// Everything is called on the session's loop, in the order in which it came, and never for a session that is over.
package protocol LeaseHolder: Sendable {
    /// A heartbeat that was sent at `sentAt`, by `BootClock`, has come back: the gateway's word stands for `term` after that.
    func renew(sentAt: UInt64, term: Duration)
    /// Whether nothing exclusive is here, on its way or was lately: the gateway's word on leases may run out unheeded.
    var isIdle: Bool { get }
    /// Whether leases have run out and wait for the gateway to say what is still this node's.
    var awaitsConfirmation: Bool { get }
    /// Which lapses a report that is made now comes after.
    func mark() -> LeaseMark
    /// The gateway has acknowledged a report of all that is here, and taken away before what is not this node's any more.
    ///
    /// The report was made when `mark` was, and after the gateway had answered a heartbeat.
    func confirm(_ mark: LeaseMark)
    /// Containers of this workload up to this epoch are over here.
    func retire(_ workload: WorkloadID, epoch: UInt64, reason: String)
}

/// How often each lease of a node had run out at one moment.
package struct LeaseMark: Sendable, Hashable {
    package var gateway: UInt64
    package var origins: [NodeID: UInt64]

    package init(gateway: UInt64, origins: [NodeID: UInt64]) {
        self.gateway = gateway
        self.origins = origins
    }
}
