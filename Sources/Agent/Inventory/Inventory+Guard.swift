import DockerAPI
import Engine
import Fleet

/// What the guard asks; the engine is asked only for what the index does not know yet.
extension Inventory {
    /// The container of `workload` that its user means by `reference`; nil when there is none.
    /// - Throws: `DockerFailure` when the engine cannot be asked.
    func container(
        _ reference: String, of workload: WorkloadID, origin: NodeID
    ) async throws(DockerFailure) -> ContainerRecord? {
        if let known = index.container(reference, of: workload), !known.isLocal { return known }
        // The user's name for it first: the engine may know another's container by the bare one.
        for candidate in [WorkloadLabels.engineName(reference, origin: origin), reference] {
            if let record = try await lookUp(candidate), record.workload.id == workload, !record.isLocal {
                return record
            }
        }
        return nil
    }

    /// A container of an origin, for another one's references to it.
    func container(
        _ reference: String, origin: NodeID, tenant: TenantID
    ) async throws(DockerFailure) -> ContainerRecord? {
        if let known = index.container(reference, origin: origin, tenant: tenant) { return known }
        for candidate in [WorkloadLabels.engineName(reference, origin: origin), reference] {
            if let record = try await lookUp(candidate), record.workload.origin == origin,
                record.workload.tenant == tenant, !record.isLocal
            {
                return record
            }
        }
        return nil
    }

    func container(ofExec exec: String) async throws(DockerFailure) -> ContainerRecord? {
        if let id = index.container(ofExec: exec), let record = index[id] { return record }
        guard let json = try await client.ask("/exec/\(exec)/json"), let id = json["ContainerID"]?.stringValue else {
            return nil
        }
        guard let record = try await lookUp(id) else { return nil }
        noteExec(exec, of: record.id)
        return record
    }

    /// Where a running container is on its engine's networks; nil when it has no address.
    func networkAddress(of id: String) async throws(DockerFailure) -> String? {
        let settings = try await client.ask("/containers/\(id)/json")?["NetworkSettings"]
        let networks =
            settings?["Networks"]?.objectValue?.members.compactMap { $0.value["IPAddress"]?.stringValue } ?? []
        return ([settings?["IPAddress"]?.stringValue ?? ""] + networks).first { !$0.isEmpty }
    }

    /// Every path of this machine that a container of the engine has; nil when the engine cannot be asked.
    func mountedPaths() async -> [String]? {
        guard let list = try? await client.ask("/containers/json?all=1")?.arrayValue else { return nil }
        return list.flatMap { ($0["Mounts"]?.arrayValue ?? []).compactMap { $0["Source"]?.stringValue } }
    }

    private func lookUp(_ reference: String) async throws(DockerFailure) -> ContainerRecord? {
        guard Admission.isReference(reference) else { return nil }
        guard let json = try await client.ask("/containers/\(reference)/json") else { return nil }
        if let id = json["Id"]?.stringValue, let known = index[id] { return known }
        guard let record = EngineReading.record(inspect: json) else { return nil }
        learn(record)
        return record
    }
}
