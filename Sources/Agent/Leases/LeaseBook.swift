import Fleet
import Leases
import Session

/// The leases of a node: one for each origin, as the gateway's word renews all of them and an origin's its own. Pure.
struct LeaseBook {
    /// Leases told of by the gateway that have not become containers; the oldest are forgotten first.
    private static let toldLimit = 4096

    /// What the gateway alone has said: the beginning of each origin's.
    private(set) var gateway: NodeLease
    private(set) var origins: [NodeID: NodeLease] = [:]
    private var told: [(origin: NodeID, workload: WorkloadID)] = []

    /// - Parameters: what an earlier process on this machine knew.
    init(gateway: UInt64, origins: [NodeID: UInt64], now: UInt64) {
        self.gateway = NodeLease(validUntil: gateway, now: now)
        self.origins = origins.mapValues { NodeLease(validUntil: $0, now: now) }
    }

    func lease(_ origin: NodeID) -> NodeLease { origins[origin] ?? gateway }

    /// Keeps the origin's apart from now on.
    mutating func add(_ origin: NodeID) { origins[origin] = lease(origin) }

    /// Looks at the clock.
    /// - Returns: whose work has to stop now.
    mutating func check(at now: UInt64) -> [NodeID] {
        _ = gateway.check(at: now)
        return origins.keys.filter { origins[$0]?.check(at: now) ?? false }
    }

    /// The work of this origin has been stopped by another.
    /// - Returns: whether it stood until now.
    mutating func lapse(_ origin: NodeID) -> Bool {
        add(origin)
        let stood = lease(origin).hasLapsed == false
        origins[origin]?.lapse()
        return stood
    }

    /// To be called behind `check` only: what has run out before must not go unnoticed.
    mutating func renew(sentAt: UInt64, term: UInt64) {
        gateway.renew(sentAt: sentAt, term: term)
        for origin in origins.keys { origins[origin]?.renew(sentAt: sentAt, term: term) }
    }

    mutating func renew(_ origin: NodeID, sentAt: UInt64, term: UInt64) {
        add(origin)
        origins[origin]?.renew(sentAt: sentAt, term: term)
    }

    mutating func tell(_ workload: WorkloadID, epoch: UInt64, origin: NodeID) {
        add(origin)
        origins[origin]?.tell(workload, epoch: epoch)
        told.append((origin, workload))
        guard told.count > Self.toldLimit else { return }
        for old in told.prefix(Self.toldLimit / 4) { origins[old.origin]?.forget(old.workload) }
        told.removeFirst(Self.toldLimit / 4)
    }

    mutating func forget(_ workload: WorkloadID, origin: NodeID) { origins[origin]?.forget(workload) }

    var mark: LeaseMark { LeaseMark(gateway: gateway.lapses, origins: origins.mapValues(\.lapses)) }

    /// - Returns: whose work may run again.
    mutating func confirm(_ mark: LeaseMark, at now: UInt64) -> [NodeID] {
        gateway.confirm(reportedAfter: mark.gateway, at: now)
        return origins.keys.filter { origin in
            guard let lease = origins[origin], lease.hasLapsed else { return false }
            // One that came to be since began as the gateway's.
            origins[origin]?.confirm(reportedAfter: mark.origins[origin] ?? mark.gateway, at: now)
            return self.lease(origin).stands(at: now)
        }
    }

    /// Whether something has run out that could stand again by the clock.
    func awaitsConfirmation(at now: UInt64) -> Bool {
        (gateway.hasLapsed && now < gateway.validUntil)
            || origins.values.contains { $0.hasLapsed && now < $0.validUntil }
    }

    /// When the first of those that stand ends, unless it is renewed.
    var nextEnd: UInt64? { origins.values.filter { !$0.hasLapsed }.map(\.validUntil).min() }
}
