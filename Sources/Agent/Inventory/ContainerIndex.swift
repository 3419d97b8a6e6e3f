package import Fleet

/// The containers under Lighter's care on this node's engine, by id and by workload. Pure: fed by `Inventory`.
package struct ContainerIndex: Sendable {
    package private(set) var records: [String: ContainerRecord] = [:]
    private var byWorkload: [WorkloadID: Set<String>] = [:]
    private var execs: [String: String] = [:]
    private var execOrder: [String] = []
    private static let execCapacity = 4096
    /// Whose the containers were that went last: of some, news is still to come.
    private var departed: [String: Owner] = [:]
    private var departures: [String] = []
    private static let departedCapacity = 1024

    private struct Owner: Sendable, Hashable {
        var origin: NodeID
        var tenant: TenantID
    }

    package init() {}

    package subscript(id: String) -> ContainerRecord? { records[id] }

    /// How many of them run now.
    package var running: Int { records.values.count { $0.workload.state == .running } }

    /// Puts a record in, or in the place of the one with its id.
    package mutating func put(_ record: ContainerRecord) {
        if let old = records.updateValue(record, forKey: record.id), old.workload.id != record.workload.id {
            byWorkload[old.workload.id]?.remove(record.id)
        }
        byWorkload[record.workload.id, default: []].insert(record.id)
    }

    @discardableResult
    package mutating func remove(_ id: String) -> ContainerRecord? {
        guard let record = records.removeValue(forKey: id) else { return nil }
        byWorkload[record.workload.id]?.remove(id)
        if byWorkload[record.workload.id]?.isEmpty == true { byWorkload[record.workload.id] = nil }
        if !record.isLocal { noteDeparture(of: record) }
        return record
    }

    private mutating func noteDeparture(of record: ContainerRecord) {
        let owner = Owner(origin: record.workload.origin, tenant: record.workload.tenant)
        guard departed.updateValue(owner, forKey: record.id) == nil else { return }
        departures.append(record.id)
        guard departures.count > Self.departedCapacity else { return }
        for old in departures.prefix(Self.departedCapacity / 4) { departed[old] = nil }
        departures.removeFirst(Self.departedCapacity / 4)
    }

    /// Whether a container is, or was until lately, one that this origin asked for.
    package func isOf(_ id: String, origin: NodeID, tenant: TenantID) -> Bool {
        if let record = records[id] {
            return !record.isLocal && record.workload.origin == origin && record.workload.tenant == tenant
        }
        return departed[id] == Owner(origin: origin, tenant: tenant)
    }

    package func containers(of workload: WorkloadID) -> [ContainerRecord] {
        (byWorkload[workload] ?? []).compactMap { records[$0] }
    }

    /// The one container of a workload that its user means by `reference`; nil when none is, or several are.
    package func container(_ reference: String, of workload: WorkloadID) -> ContainerRecord? {
        Self.one(containers(of: workload), reference)
    }

    /// The same among all containers that an origin asked for.
    package func container(_ reference: String, origin: NodeID, tenant: TenantID) -> ContainerRecord? {
        Self.one(
            records.values.filter { !$0.isLocal && $0.workload.origin == origin && $0.workload.tenant == tenant },
            reference)
    }

    private static func one(_ candidates: [ContainerRecord], _ reference: String) -> ContainerRecord? {
        let matches = candidates.filter { $0.answers(to: reference) }
        // As the engine does: a full id or name goes before a prefix.
        if matches.count > 1 {
            let exact = matches.filter { $0.id == reference || $0.userName == reference || $0.name == reference }
            return exact.count == 1 ? exact[0] : nil
        }
        return matches.first
    }

    /// Remembers whose exec it is; the oldest are forgotten, and the engine is asked again.
    package mutating func noteExec(_ exec: String, of container: String) {
        if execs.updateValue(container, forKey: exec) == nil { execOrder.append(exec) }
        guard execOrder.count > Self.execCapacity else { return }
        for old in execOrder.prefix(Self.execCapacity / 4) { execs[old] = nil }
        execOrder.removeFirst(Self.execCapacity / 4)
    }

    package func container(ofExec exec: String) -> String? { execs[exec] }

    /// What workloads hold of this node now.
    package var reserved: Resources {
        var sum = Resources.none
        for record in records.values where record.holdsCapacity {
            sum.cpus += record.workload.resources.cpus
            sum.memory += record.workload.resources.memory
        }
        return sum
    }
}
