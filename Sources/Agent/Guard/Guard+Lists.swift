import DockerAPI
import NIOCore

/// Lists of which not every engine keeps to what was asked: Podman shows events and volumes that have any of the labels.
extension Guard {
    /// The events of the caller's own containers, and of the networks and volumes as these join and leave them; in Docker's words.
    ///
    /// Those of networks and volumes have no labels: an engine that is asked for labels would leave them out. Whose they are is
    /// known by the container that they name.
    func ownEvents(_ head: RequestHead, _ admitted: Admitted, _ query: Query) throws(DockerFailure) -> Passage {
        let filters = try query.filters()
        let scope = admitted.scope
        var asked = filters.forEveryEngine
        var plain = filters
        plain.removeLabels(Admission.ownLabels(scope))
        let wantsObjects = plain.admitsObjectEvents
        if wantsObjects { asked.remove("label") }
        var query = query
        query.setFilters(asked)
        var passage = Passage(
            head: try Passage.head(head, version: admitted.apiVersion, path: "/events", query: query))
        passage.rewrite = { [weak self, inventory] document in
            guard let event = try? JSON.parse(document) else { return nil }
            let attributes = event["Actor"]?["Attributes"]
            if wantsObjects, ["network", "volume"].contains(event["Type"]?.stringValue) {
                guard let id = attributes?["container"]?.stringValue,
                    inventory.index.isOf(id, origin: scope.origin, tenant: scope.tenant),
                    self?.isOfRename(event) == false
                else { return nil }
                return document
            }
            guard filters.admit(labels: attributes) else { return nil }
            guard var canonical = EventAction.canonical(event)?.buffer else { return document }
            canonical.writeString("\n")
            return canonical
        }
        return passage
    }

    func ownVolumes(_ admitted: Admitted, _ query: Query) async throws(DockerFailure) -> JSON {
        let filters = try query.filters()
        let path = (admitted.apiVersion.map { "/v\($0)" } ?? "") + "/volumes"
        guard var report = try await inventory.client.ask(query.target(path)) else {
            throw DockerFailure(status: 400, message: "lighter: the engine does not list volumes so")
        }
        let listed = report["Volumes"]?.arrayValue ?? []
        report["Volumes"] = .array(listed.filter { filters.admit(labels: $0["Labels"]) })
        return report
    }
}
