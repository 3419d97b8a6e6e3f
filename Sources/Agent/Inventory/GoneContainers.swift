import Fleet

/// How other nodes' containers ended that their engine has removed, for whoever waits for them and was cut off meanwhile.
///
/// The oldest are forgotten first, and all at a restart of this daemon.
struct GoneContainers {
    private static let limit = 4096

    private var ends: [String: (workload: WorkloadID, exitCode: Int64)] = [:]
    private var order: [String] = []

    mutating func note(_ record: ContainerRecord, exitCode: Int64?) {
        guard let exitCode, !record.isLocal else { return }
        if ends.updateValue((record.workload.id, exitCode), forKey: record.id) == nil { order.append(record.id) }
        guard order.count > Self.limit else { return }
        for old in order.prefix(Self.limit / 4) { ends[old] = nil }
        order.removeFirst(Self.limit / 4)
    }

    /// - Parameter workload: nobody is told of another's.
    func exitCode(of id: String, workload: WorkloadID) -> Int64? {
        guard let end = ends[id], end.workload == workload else { return nil }
        return end.exitCode
    }
}
