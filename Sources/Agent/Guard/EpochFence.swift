import DockerAPI
import Fleet

/// The highest epoch seen here of each workload: who comes with an older one has lost its lease.
struct EpochFence {
    /// More than any node sees in the life of a ticket; the oldest is forgotten first (its tickets have expired).
    static let capacity = 16_384

    private var highest: [WorkloadID: UInt64] = [:]
    private var order: [WorkloadID] = []

    /// Remembers what a label or a valid ticket says.
    mutating func note(_ workload: WorkloadID, epoch: UInt64) {
        if let known = highest[workload] {
            highest[workload] = max(known, epoch)
            return
        }
        if order.count >= Self.capacity {
            for old in order.prefix(Self.capacity / 4) { highest[old] = nil }
            order.removeFirst(Self.capacity / 4)
        }
        highest[workload] = epoch
        order.append(workload)
    }

    func check(_ workload: WorkloadID, epoch: UInt64, node: NodeID) throws(DockerFailure) {
        guard let known = highest[workload], epoch < known else { return }
        throw DockerFailure(
            status: 409,
            message:
                "lighter: epoch \(epoch) of workload \(workload) is over on node \(node), which has seen epoch \(known); "
                + "ask the gateway where the workload runs now")
    }
}
