/// How a container has ended.
package struct WorkloadEnd: Sendable, Hashable {
    package var workload: WorkloadID
    package var epoch: UInt64
    package var exitCode: Int32
    /// Seconds since 1970, by the clock of the node where it ran.
    package var finishedAt: Double

    package init(workload: WorkloadID, epoch: UInt64, exitCode: Int32, finishedAt: Double) {
        self.workload = workload
        self.epoch = epoch
        self.exitCode = exitCode
        self.finishedAt = finishedAt
    }

    /// Nil as long as its code is not known.
    package init?(_ workload: Workload) {
        guard let exitCode = workload.exitCode, workload.finishedAt > 0 else { return nil }
        self.init(
            workload: workload.id, epoch: workload.version.epoch, exitCode: exitCode, finishedAt: workload.finishedAt)
    }
}
