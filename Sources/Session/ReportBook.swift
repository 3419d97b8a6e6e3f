import Fleet

/// What a node still has to tell the gateway: the newest version of each workload, never a queue.
///
/// An entry is dirty until it has been sent on this connection, then in flight until its report is acknowledged. It stays,
/// as part of the node's inventory, until its removal has been acknowledged.
struct ReportBook {
    private struct Entry {
        var workload: Workload
        /// The report that carried this version last; nil while dirty.
        var sentIn: UInt64?
        var isAcknowledged = false
    }

    private var entries: [WorkloadID: Entry] = [:]
    private var dirty: Set<WorkloadID> = []
    /// What each unacknowledged report carried.
    private var inFlight: [UInt64: [WorkloadID]] = [:]

    /// Whether something waits to be sent.
    var hasNews: Bool { !dirty.isEmpty }
    /// Whether everything was acknowledged.
    var isSettled: Bool { entries.values.allSatisfy(\.isAcknowledged) }

    /// Takes a workload's new state; an older epoch than the one known is passed over.
    mutating func record(_ workload: Workload) {
        if let known = entries[workload.id], known.workload.version >= workload.version { return }
        entries[workload.id] = Entry(workload: workload)
        dirty.insert(workload.id)
    }

    /// At most `limit` dirty entries, marked as sent in report `sequence`; nil when there are none.
    mutating func nextBatch(limit: Int, sequence: UInt64) -> [Workload]? {
        guard !dirty.isEmpty else { return nil }
        var batch: [Workload] = []
        for id in dirty.prefix(limit) {
            entries[id]?.sentIn = sequence
            if let workload = entries[id]?.workload { batch.append(workload) }
        }
        for workload in batch { dirty.remove(workload.id) }
        inFlight[sequence] = batch.map(\.id)
        return batch
    }

    /// The whole inventory, marked as sent in report `sequence`.
    mutating func everything(sequence: UInt64) -> [Workload] {
        dirty.removeAll(keepingCapacity: true)
        inFlight = [sequence: Array(entries.keys)]
        for id in Array(entries.keys) { entries[id]?.sentIn = sequence }
        return entries.values.map(\.workload)
    }

    /// The gateway has report `sequence` on its disk.
    mutating func acknowledge(_ sequence: UInt64) {
        for id in inFlight.removeValue(forKey: sequence) ?? [] {
            guard let entry = entries[id], entry.sentIn == sequence else { continue }
            if entry.workload.state == .removed {
                entries[id] = nil
                continue
            }
            entries[id]?.isAcknowledged = true
            // The gateway keeps it from here on; inventories need not carry it again.
            entries[id]?.workload.decision = nil
        }
    }

    /// Report `sequence` was not acknowledged in time: what it carried is news again.
    mutating func resend(_ sequence: UInt64) {
        for id in inFlight.removeValue(forKey: sequence) ?? [] {
            guard let entry = entries[id], entry.sentIn == sequence, !entry.isAcknowledged else { continue }
            entries[id]?.sentIn = nil
            dirty.insert(id)
        }
    }

    /// The connection is gone, and a gateway that restarted may know less than it acknowledged: all is news again.
    mutating func startOver() {
        inFlight = [:]
        for id in Array(entries.keys) { entries[id]?.sentIn = nil }
        dirty = Set(entries.keys)
    }

    /// The inventory's fingerprint and size without what is removed: the gateway's too, once it has every report.
    var fingerprint: (checksum: UInt64, count: Int) {
        let present = entries.values.lazy.map(\.workload).filter { $0.state != .removed }
        return (InventoryChecksum(present).value, present.count)
    }
}
