import DockerAPI
import Engine
import Fleet
import NIOCore
import Trust

/// Networks and volumes that other nodes' callers own here: labelled as theirs, and named `NAME.ORIGIN`.
extension Guard {
    /// Networks, or volumes, that one origin may own here.
    static let objectLimit = 256

    /// What the engine says of a network or volume, if it is the origin's own; nil where it is not, or is none at all.
    /// - Parameter reference: its id here, or its owner's name for it.
    func own(
        _ kind: Admission.OwnedObject, _ reference: String, _ origin: NodeID
    ) async throws(DockerFailure) -> JSON? {
        guard Admission.isReference(reference) else { return nil }
        // The owner's name first: the engine may know another's object by the bare one.
        for name in [WorkloadLabels.engineName(reference, origin: origin), reference] {
            guard let found = try await inventory.client.ask("/\(kind.rawValue)s/\(name)") else { continue }
            if isOwn(found, origin) { return found }
            if kind == .volume, try await isOwnAnonymous(found, origin) { return found }
        }
        return nil
    }

    private func isOwn(_ object: JSON, _ origin: NodeID) -> Bool {
        let labels = object["Labels"]
        return labels?[WorkloadLabels.tenant]?.stringValue == configuration.tenant.name
            && labels?[WorkloadLabels.origin]?.stringValue == origin.name
    }

    /// The part of `GET /system/df` that is about the origin's own volumes.
    func volumeUsage(of origin: NodeID) async throws(DockerFailure) -> JSON {
        var own: [JSON] = []
        for volume in try await inventory.client.ask("/system/df")?["Volumes"]?.arrayValue ?? [] {
            if isOwn(volume, origin) {
                own.append(volume)
            } else if try await isOwnAnonymous(volume, origin) {
                own.append(volume)
            }
        }
        return ["Volumes": .array(own)]
    }

    // MARK: Volumes without names

    /// Whether a volume came with a container of the origin's: a container gets no others than its origin's own.
    private func isOwnAnonymous(_ volume: JSON, _ origin: NodeID) async throws(DockerFailure) -> Bool {
        guard let name = volume["Name"]?.stringValue, VolumeName.isAnonymous(name) else { return false }
        if volumeRights.has(name, origin) { return true }
        var filters = DockerFilters()
        filters.add("volume", name)
        var query = Query()
        query.set("all", "1")
        query.setFilters(filters)
        let users = try await inventory.client.ask(query.target("/containers/json"))?.arrayValue ?? []
        return users.contains { user in
            inventory.index.isOf(
                user["Id"]?.stringValue ?? "", origin: origin, tenant: configuration.tenant)
        }
    }

    /// Remembers whose the volumes are that a container leaves behind when it is removed without them.
    func noteVolumes(leftBy record: ContainerRecord) async throws(DockerFailure) {
        let mounts = try await inventory.client.ask("/containers/\(record.id)/json")?["Mounts"]?.arrayValue ?? []
        for mount in mounts where mount["Type"]?.stringValue == "volume" {
            guard let name = mount["Name"]?.stringValue, VolumeName.isAnonymous(name) else { continue }
            volumeRights.grant(name, to: record.workload.origin)
        }
    }

    /// The one way to an object that exists, so that nobody learns of another's.
    private func known(
        _ kind: Admission.OwnedObject, _ reference: String, _ origin: NodeID
    ) async throws(DockerFailure) -> JSON {
        if let found = try await own(kind, reference, origin) { return found }
        let message =
            switch kind {
            case .network: "network \(reference) not found"
            case .volume: "get \(reference): no such volume"
            }
        throw DockerFailure(status: 404, message: message)
    }

    private func identity(_ kind: Admission.OwnedObject, _ object: JSON) -> String {
        object[kind == .network ? "Id" : "Name"]?.stringValue ?? ""
    }

    func createObject(
        _ kind: Admission.OwnedObject, _ head: RequestHead, _ admitted: Admitted, _ body: JSON
    ) async throws(DockerFailure) -> Passage {
        let origin = admitted.scope.origin
        var profile = CreateProfile(policy: configuration.policy, node: configuration.node)
        profile.ownAddresses = InterfaceAddresses.all
        let table = kind == .network ? CreateSanitizer.networkObject : CreateSanitizer.volumeObject
        var fields = try table.rebuild(body, at: "", in: profile)
        guard case .string(let name)? = fields.first("Name"), Admission.isReference(name) else {
            throw DockerFailure(
                status: 400,
                message: "lighter: node \(configuration.node) takes \(kind.rawValue)s with names of letters, digits, "
                    + "'_', '.' and '-' only")
        }
        try await checkCount(of: kind, origin)
        fields.removeAll { ["Name", "Labels", "CheckDuplicate"].contains($0.0) }
        fields.append(("Name", .string(WorkloadLabels.engineName(name, origin: origin))))
        fields.append(("Labels", labels(body, origin)))
        if kind == .network { fields.append(("CheckDuplicate", .bool(true))) }
        return try checked(head, admitted, "/\(kind.rawValue)s/create", Query(), .object(fields))
    }

    private func labels(_ body: JSON, _ origin: NodeID) -> JSON {
        var pairs: [(String, JSON)] = []
        if case .object(let own)? = body.value(named: "Labels") {
            pairs = own.members.filter { !$0.key.utf8.starts(with: WorkloadLabels.prefix.utf8) }
                .map { ($0.key, $0.value) }
        }
        pairs.append((WorkloadLabels.tenant, .string(configuration.tenant.name)))
        pairs.append((WorkloadLabels.origin, .string(origin.name)))
        return .object(pairs)
    }

    private func checkCount(of kind: Admission.OwnedObject, _ origin: NodeID) async throws(DockerFailure) {
        var filters = DockerFilters()
        filters.add("label", "\(WorkloadLabels.origin)=\(origin)")
        var query = Query()
        query.setFilters(filters)
        let listed = try await inventory.client.ask(query.target("/\(kind.rawValue)s"))
        let found = kind == .network ? listed?.arrayValue : listed?["Volumes"]?.arrayValue
        guard (found?.count ?? 0) < Self.objectLimit else {
            throw DockerFailure(
                status: 403,
                message: "lighter: node \(configuration.node) keeps at most \(Self.objectLimit) \(kind.rawValue)s of "
                    + "\(origin)'s; remove some that are not used")
        }
    }

    func object(
        _ kind: Admission.OwnedObject, _ head: RequestHead, _ admitted: Admitted, _ reference: String, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        let found = try await known(kind, reference, admitted.scope.origin)
        let path = "/\(kind.rawValue)s/\(identity(kind, found))"
        return Passage(head: try Passage.head(head, version: admitted.apiVersion, path: path, query: query))
    }

    /// `connect` and `disconnect`: both the network and the container must be the caller's own.
    func attachment(
        _ head: RequestHead, _ admitted: Admitted, _ network: String, _ action: String, _ body: JSON
    ) async throws(DockerFailure) -> Passage {
        let origin = admitted.scope.origin
        // The engine's own network, in which containers are that ask for none.
        let isPlain = network == "bridge"
        let id = isPlain ? network : identity(.network, try await known(.network, network, origin))
        let reference = body.value(named: "Container")?.stringValue ?? ""
        guard let ticket = admitted.scope.ticket,
            let record = try await inventory.container(reference, of: ticket.workload, origin: origin)
        else { throw .noSuchContainer(reference) }
        // Its address may be another from now on.
        addresses[record] = nil
        var profile = CreateProfile(policy: configuration.policy, node: configuration.node)
        let endpoint = body.value(named: "EndpointConfig") ?? .null
        let asCreate: JSON = ["NetworkingConfig": ["EndpointsConfig": ["": endpoint]]]
        for name in CreateSanitizer.references(in: asCreate) {
            profile.ownNames[name] = try await inventory.container(
                name, origin: origin, tenant: configuration.tenant)?.name
        }
        let table = isPlain ? CreateSanitizer.plainAttachment : CreateSanitizer.attachment
        var fields = try table.rebuild(body, at: "", in: profile)
        fields.removeAll { $0.0 == "Container" }
        fields.append(("Container", .string(record.id)))
        let path = "/networks/\(id)/\(action)"
        return try checked(head, admitted, path, Query(), .object(fields))
    }
}
