package import Fleet

/// A node's right to run exclusive work, as the node itself knows it. Pure: times come in as arguments.
///
/// It stands for a while after each heartbeat that was acknowledged, counted from when that was *sent*, so that it ends at the
/// node before it does at the gateway. Once it has run out, heartbeats alone do not bring it back: the gateway may have given
/// the work to another node meanwhile. The node then reports all that it has, and what the gateway does not take away until it
/// acknowledges that report is still the node's.
///
/// Times are nanoseconds of a clock that goes on while the machine sleeps, and is the same for all readers on it.
package struct NodeLease: Sendable, Hashable {
    package private(set) var validUntil: UInt64
    /// Whether it has run out since the gateway last said that what is here is the node's.
    package private(set) var hasLapsed: Bool
    /// How often it has run out: says whether a report was made before or after.
    package private(set) var lapses: UInt64 = 0
    /// Leases that the gateway itself has told of since the last lapse.
    private var told: [WorkloadID: UInt64] = [:]

    /// - Parameter validUntil: what an earlier process on this machine knew; zero where there was none, or the machine has booted.
    package init(validUntil: UInt64 = 0, now: UInt64) {
        self.validUntil = validUntil
        hasLapsed = now >= validUntil
    }

    /// Whether exclusive work may run or be started now.
    package func stands(at now: UInt64) -> Bool { !hasLapsed && now < validUntil }

    /// Whether a lease of this epoch may become a container: the gateway has told of it since it last could take it away.
    package func admits(_ workload: WorkloadID, epoch: UInt64, at now: UInt64) -> Bool {
        stands(at: now) && told[workload] == epoch
    }

    /// Looks at the clock. True when the lease has just run out: everything exclusive stops, now.
    package mutating func check(at now: UInt64) -> Bool {
        guard !hasLapsed, now >= validUntil else { return false }
        lapse()
        return true
    }

    /// Takes it for run out though the clock does not say so: what it was for has been stopped by somebody else.
    package mutating func lapse() {
        guard !hasLapsed else { return }
        hasLapsed = true
        lapses += 1
        told = [:]
    }

    /// A heartbeat that was sent at `sentAt` came back.
    package mutating func renew(sentAt: UInt64, term: UInt64) { validUntil = max(validUntil, sentAt &+ term) }

    /// The gateway has acknowledged a report of all that is here, made when the lease had run out `lapses` times.
    ///
    /// What it told before is no more than what it knew then.
    package mutating func confirm(reportedAfter lapses: UInt64, at now: UInt64) {
        guard hasLapsed, lapses == self.lapses, now < validUntil else { return }
        hasLapsed = false
        told = [:]
    }

    /// The gateway itself told of a lease.
    package mutating func tell(_ workload: WorkloadID, epoch: UInt64) {
        guard !hasLapsed else { return }
        told[workload] = max(told[workload] ?? 0, epoch)
    }

    /// A workload is over here.
    package mutating func forget(_ workload: WorkloadID) { told[workload] = nil }
}
