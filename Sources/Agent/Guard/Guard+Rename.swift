import DockerAPI
import Engine
import Fleet

/// A new name for a container of another node's: in its own networks it is found by that name from then on.
///
/// The engine knows the container as `NAME.ORIGIN`, so the name that others of the network use is an alias, and an engine
/// changes aliases only as a container joins. Events do not tell of that: for its users it has not left.
extension Guard {
    /// - Parameter name: as the user gave it.
    /// - Throws: `DockerFailure` with the engine's refusal, or where the container could not join again.
    func rename(_ record: ContainerRecord, to name: String, _ version: String?) async throws(DockerFailure) {
        let before = try await inventory.client.ask("/containers/\(record.id)/json")
        var query = Query()
        query.set("name", WorkloadLabels.engineName(name, origin: record.workload.origin))
        let path = (version.map { "/v\($0)" } ?? "") + "/containers/\(record.id)/rename"
        try await inventory.client.tell(query.target(path))
        let endpoints = before?["NetworkSettings"]?["Networks"]?.objectValue?.members ?? []
        for member in endpoints {
            let aliases = member.value["Aliases"]?.arrayValue ?? []
            // One that has never run has no id there yet.
            let id = member.value["NetworkID"]?.stringValue ?? ""
            guard aliases.contains(.string(record.userName)),
                let network = try await own(.network, id.isEmpty ? member.key : id, record.workload.origin)
            else { continue }
            let short = String(record.id.prefix(12))
            var endpoint: JSON = [
                "Aliases": .array(
                    aliases.filter { $0 != .string(record.userName) && $0 != .string(short) } + [.string(name)])
            ]
            for kept in ["IPAMConfig", "Links", "GwPriority"] {
                if let value = member.value[kept], !value.isNull { endpoint[kept] = value }
            }
            try await rejoin(record, network, endpoint)
        }
    }

    private func rejoin(_ record: ContainerRecord, _ network: JSON, _ endpoint: JSON) async throws(DockerFailure) {
        let id = network["Id"]?.stringValue ?? ""
        reconnections.begin(record.id, now: now())
        defer {
            reconnections.end(record.id, now: now())
            // It may have another one now.
            addresses[record] = nil
        }
        try await inventory.client.tell(
            "/networks/\(id)/disconnect", ["Container": .string(record.id), "Force": false])
        let connect: JSON = ["Container": .string(record.id), "EndpointConfig": endpoint]
        do throws(DockerFailure) {
            try await inventory.client.tell("/networks/\(id)/connect", connect)
        } catch {
            // Without its network it would be worse off than with its old name.
            try await inventory.client.tell("/networks/\(id)/connect", connect)
        }
    }

    /// Whether an event tells of what only a rename did.
    func isOfRename(_ event: JSON) -> Bool {
        guard event["Type"]?.stringValue == "network", let nanos = event["timeNano"]?.intValue,
            let container = event["Actor"]?["Attributes"]?["container"]?.stringValue
        else { return false }
        return reconnections.covers(container, at: Double(nanos) / 1e9)
    }
}
