package import Fleet

/// Whether work that is leased to a node may be leased to another instead.
package enum Replacement: Sendable, Hashable {
    /// Nothing of it runs any more.
    case granted
    /// The lease that stands may still be believed in for so many nanoseconds.
    case wait(UInt64)
    /// It is not to be replaced, as a person reads it.
    case kept(String)

    /// - Parameters:
    ///   - epoch: of the lease that is to be replaced.
    ///   - known: what the ledger has.
    ///   - isHeard: whether the node's heartbeats arrive.
    ///   - lease: what the node was granted last.
    ///   - isMove: its origin, which alone starts it, has stopped it to have it elsewhere.
    package static func judge(
        epoch: UInt64, known: Workload?, isHeard: Bool, lease: GrantedLease, margin: UInt64, now: UInt64,
        isMove: Bool = false
    ) -> Replacement {
        guard let known else { return .kept("nothing is known of it") }
        guard known.version.epoch >= epoch else {
            let epochs = "the ledger has epoch \(known.version.epoch) of it, and its origin epoch \(epoch)"
            return .kept("\(epochs): \(LostEpochs.remedy)")
        }
        guard known.version.epoch == epoch else {
            // Its origin was away after it had been given another node: nothing came of that, and what was before is over.
            if !isMove, known.state == .removed, known.containerID.isEmpty { return .granted }
            return .kept("it was leased to \(known.target) since, in epoch \(known.version.epoch)")
        }
        if isMove {
            return [.created, .exited].contains(known.state)
                ? .granted : .kept("it is \(known.state) at \(known.target)")
        }
        switch known.state {
        case .pending, .created, .running, .paused: break
        case .exited, .removed: return .kept("it is \(known.state) at \(known.target)")
        }
        guard !isHeard else { return .kept("node \(known.target) is back") }
        let remaining = lease.remaining(at: now, margin: margin)
        return remaining == 0 ? .granted : .wait(remaining)
    }

    /// Whether a node that reports `reported` has to give it up.
    /// - Parameter known: what the ledger has.
    package static func isOver(_ reported: Workload, known: Workload?) -> Bool {
        guard let known, known.id == reported.id else { return false }
        return reported.version.epoch < known.version.epoch && reported.state != .removed
    }
}
