import Fleet
import NIOCore

/// Leases that this node does not use and the gateway does not know to be free: those of placements whose answer was lost, and
/// those that could not be given back at once. Pure.
struct OwedLeases {
    struct Lease: Sendable, Equatable {
        var workload: WorkloadID
        /// Zero for whichever it is.
        var epoch: UInt64
        var reason: String
        var since: NIODeadline
    }

    /// By then a gateway has found out itself.
    private static let memory = TimeAmount.minutes(10)
    /// A placement that was asked for may become one this much later, though the gateway knows nothing of it yet.
    private static let settling = TimeAmount.seconds(30)
    private static let limit = 1024

    private var leases: [WorkloadID: Lease] = [:]

    var isEmpty: Bool { leases.isEmpty }

    mutating func add(_ workload: WorkloadID, epoch: UInt64, reason: String, now: NIODeadline) {
        if leases.count >= Self.limit, let oldest = leases.values.min(by: { $0.since < $1.since }) {
            leases[oldest.workload] = nil
        }
        leases[workload] = Lease(workload: workload, epoch: epoch, reason: reason, since: now)
    }

    /// It is asked for again: what comes of that is to be used.
    mutating func remove(_ workload: WorkloadID) { leases[workload] = nil }

    func contains(_ lease: Lease) -> Bool { leases[lease.workload] == lease }

    /// What is to be given back now.
    mutating func due(_ now: NIODeadline) -> [Lease] {
        for lease in leases.values where now - lease.since > Self.memory { leases[lease.workload] = nil }
        return leases.values.sorted { $0.since < $1.since }
    }

    /// The gateway has heard of it.
    /// - Parameter isKnown: whether it knows such a workload.
    mutating func told(_ lease: Lease, isKnown: Bool, now: NIODeadline) {
        guard leases[lease.workload] == lease else { return }
        if isKnown || now - lease.since > Self.settling { leases[lease.workload] = nil }
    }
}
