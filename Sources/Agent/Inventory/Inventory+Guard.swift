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
        guard let json = try await ask("/exec/\(exec)/json"), let id = json["ContainerID"]?.stringValue else {
            return nil
        }
        guard let record = try await lookUp(id) else { return nil }
        noteExec(exec, of: record.id)
        return record
    }

    /// Where a running container is on its engine's networks; nil when it has no address.
    func networkAddress(of id: String) async throws(DockerFailure) -> String? {
        let settings = try await ask("/containers/\(id)/json")?["NetworkSettings"]
        let networks =
            settings?["Networks"]?.objectValue?.members.compactMap { $0.value["IPAddress"]?.stringValue } ?? []
        return ([settings?["IPAddress"]?.stringValue ?? ""] + networks).first { !$0.isEmpty }
    }

    private func lookUp(_ reference: String) async throws(DockerFailure) -> ContainerRecord? {
        guard Admission.isReference(reference) else { return nil }
        guard let json = try await ask("/containers/\(reference)/json") else { return nil }
        if let id = json["Id"]?.stringValue, let known = index[id] { return known }
        guard let record = EngineReading.record(inspect: json) else { return nil }
        learn(record)
        return record
    }

    /// The engine's JSON; nil when it knows no such thing.
    private func ask(_ target: String) async throws(DockerFailure) -> JSON? {
        do throws(EngineError) {
            let answer = try await client.request("GET", target, limit: 4 << 20, timeout: .seconds(30))
            if answer.status == 404 || answer.status == 400 { return nil }
            return try answer.checked().json()
        } catch {
            var failure = error.failure
            // 503 is for a node without room.
            if failure.status == 503 { failure.status = 502 }
            throw failure
        }
    }
}
