package import Fleet

extension Lighter_V1_EndPush {
    package init(_ end: WorkloadEnd) {
        self.init()
        workload = end.workload.hex
        epoch = end.epoch
        exitCode = end.exitCode
        finishedAt = end.finishedAt
    }

    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> WorkloadEnd {
        WorkloadEnd(
            workload: try WireField.workload(workload, "end.workload"), epoch: epoch, exitCode: exitCode,
            finishedAt: try WireField.amount(finishedAt, "end.finished_at"))
    }
}
