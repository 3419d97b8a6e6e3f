internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Containers that share a network, a volume or a namespace run on one node.
extension FrontDoor {
    /// Whether anything of this device is elsewhere that a container could share.
    private var sharesNothingElsewhere: Bool { routes.isEmpty && volumes.hasNone && leases.isEmpty }

    /// - Parameters:
    ///   - stays: The policy keeps it here unless it needs what is elsewhere.
    ///   - leaving: Volumes that go where it goes, wherever they are.
    func sharingPlan(for spec: CreateRequest, stays: Bool, leaving: Set<String> = []) async -> SharingPlan {
        var plan = SharingPlan()
        if stays, sharesNothingElsewhere { return plan }
        noteReferences(of: spec, in: &plan)
        await noteVolumes(of: spec, leaving: leaving, in: &plan)
        await noteNetworks(of: spec, in: &plan)
        if let project = spec.composeProject { plan.keys.insert("/project/\(project)") }
        plan.company = await company(of: plan, project: spec.composeProject)
        return plan
    }

    private func noteReferences(of spec: CreateRequest, in plan: inout SharingPlan) {
        for other in spec.references {
            switch routes.resolve(other.reference) {
            case .exact(let route), .prefix(let route):
                plan.containers[other.reference] = route.containerID
                plan.loosened.insert(other.tie)
                plan.needs.append((route.target, "container \(route.name) is there"))
            case .none, .ambiguous: break
            }
        }
    }

    // MARK: Volumes

    private func noteVolumes(of spec: CreateRequest, leaving: Set<String>, in plan: inout SharingPlan) async {
        let driven = spec.drivenVolumes
        for name in spec.namedVolumes {
            plan.keys.insert("/volume/\(name)")
            if leaving.contains(name) {
                // It goes along.
            } else if case .away(let node, _)? = volumes[name] {
                plan.needs.append((node, SharingPlan.volumeIsThere(name)))
            } else if let user = routes.all.first(where: { $0.volumes.contains(name) }) {
                plan.needs.append((user.target, SharingPlan.volumeIsThere(name)))
            } else {
                guard !driven.contains(name), await mayLeave(volume: name) else { continue }
            }
            plan.volumes.append(name)
            plan.loosened.insert(spec.tie(ofVolume: name))
        }
    }

    /// Whether a volume that is not elsewhere may be made elsewhere: it does not exist, or nothing has ever used it.
    func mayLeave(volume name: String) async -> Bool {
        guard let engineClient else { return true }
        guard let answer = try? await engineClient.request("GET", Self.volumePath(name)) else { return false }
        if answer.status == 404 { return true }
        guard case .unused(let noted)? = volumes[name], answer.status == 200, let shown = try? JSON.parse(answer.body),
            shown["CreatedAt"] == noted["CreatedAt"], let folder = shown["Mountpoint"]?.stringValue,
            FolderLook.isEmpty(folder)
        else { return false }
        return await !isUsed("volume", name)
    }

    /// Whether a container of the device's engine, running or not, uses it; also when the engine cannot be asked.
    func isUsed(_ filter: String, _ value: String) async -> Bool {
        let users = try? await engineClient?.containers(where: [filter: value])
        return users.map { !$0.isEmpty } ?? true
    }

    // MARK: Networks

    private func noteNetworks(of spec: CreateRequest, in plan: inout SharingPlan) async {
        for reference in spec.userNetworks {
            guard let shown = await network(reference), let id = shown["Id"]?.stringValue,
                shown["Driver"]?.stringValue == "bridge", shown["Scope"]?.stringValue == "local"
            else { continue }
            plan.keys.insert("/network/\(id)")
            plan.loosened.insert(spec.tie(ofNetwork: reference))
            if let index = plan.networks.firstIndex(where: { $0.id == id }) {
                plan.networks[index].references.append(reference)
            } else {
                let name = shown["Name"]?.stringValue ?? reference
                plan.networks.append(.init(id: id, name: name, shown: shown, references: [reference]))
            }
        }
    }

    /// The device's engine's view of a network.
    func network(_ reference: String) async -> JSON? {
        guard let answer = try? await engineClient?.request("GET", Self.networkPath(reference)), answer.status == 200
        else { return nil }
        return try? JSON.parse(answer.body)
    }

    // MARK: Company

    /// Where most of those are that share its first network with it, or else its Compose project.
    func company(of plan: SharingPlan, project: String?) async -> (node: NodeID, reason: String)? {
        for network in plan.networks {
            let others = await whereabouts(["network": network.id]) {
                $0.networks.contains(network.id)
            } pending: {
                $0.keys.contains("/network/\(network.id)")
            }
            if let node = others { return (node, "containers of network \(network.name) are there") }
        }
        guard let project else { return nil }
        let others = await whereabouts(["label": "com.docker.compose.project=\(project)"]) {
            $0.labels["com.docker.compose.project"] == project
        } pending: {
            $0.keys.contains("/project/\(project)")
        }
        return others.map { ($0, "containers of project \(project) are there") }
    }

    /// The node that has most of the containers in question; the device itself where it has as many.
    private func whereabouts(
        _ filters: DockerFilters, _ isMember: (Route) -> Bool, pending: (PendingLease) -> Bool
    ) async -> NodeID? {
        var counts: [NodeID: Int] = [:]
        for route in routes.all where isMember(route) && !isGivenUp(route.target) && !isDrained(route.target) {
            counts[route.target, default: 0] += 1
        }
        for lease in leases.all where pending(lease) { counts[lease.target, default: 0] += 1 }
        let here = (try? await engineClient?.containers(where: filters).count) ?? 0
        let best = counts.max { ($0.value, $1.key.name) < ($1.value, $0.key.name) }
        if let best, best.value > here { return best.key }
        return here > 0 ? control.node : nil
    }

    // MARK: At the target

    /// Makes sure that what the container shares is at the node, and names it as that node does.
    func share(_ plan: SharingPlan, at node: NodeID, in json: JSON, for creation: Creation) async throws -> JSON {
        for volume in plan.volumes { try await provide(volume: volume, at: node, for: creation) }
        var twins: [String: String] = [:]
        for network in plan.networks {
            let twin = try await twin(of: network, at: node)
            for reference in network.references { twins[reference] = twin }
        }
        return json.sharing(networks: twins, containers: plan.containers, alias: creation.name)
    }

    /// A create for an engine that takes one network only, and the others, which are for `joinOthers`.
    func splitNetworks(_ json: JSON, at node: NodeID) -> (json: JSON, others: [JSONObject.Member]) {
        let endpoints =
            json.value(named: "NetworkingConfig")?.value(named: "EndpointsConfig")?.objectValue?.members ?? []
        guard endpoints.count > 1, newestAPI(at: node) < .severalNetworks else { return (json, []) }
        let mode = json.value(named: "HostConfig")?.value(named: "NetworkMode")?.stringValue
        let first = endpoints.firstIndex { $0.key == mode } ?? 0
        var others = endpoints
        let kept = others.remove(at: first)
        var json = json
        json.update(named: "NetworkingConfig") { $0.set(.object(JSONObject([kept])), named: "EndpointsConfig") }
        return (json, others)
    }

    /// Joins a container that was made in one of its networks to the others, before anybody hears of it.
    func joinOthers(_ id: String, _ creation: Creation, _ lease: PendingLease) async throws {
        let isShared = creation.sharing.networks.count > 1
        guard isShared || !splitNetworks(creation.spec.json, at: lease.target).others.isEmpty,
            newestAPI(at: lease.target) < .severalNetworks
        else { return }
        let json = try await share(creation.sharing, at: lease.target, in: creation.spec.json, for: creation)
        let client = DockerClient(dialer: dialer(to: lease, purpose: "connect"), maximumIdle: 0)
        for other in splitNetworks(json, at: lease.target).others {
            let body: JSON = ["Container": .string(id), "EndpointConfig": other.value]
            let answer = try await client.request(
                "POST", Self.networkPath(other.key) + "/connect", body: body.buffer)
            guard answer.status != 200 else { continue }
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
    }

    static func networkPath(_ reference: String) -> String { "/networks/\(PercentCoding.encode(reference))" }
    static func volumePath(_ name: String) -> String { "/volumes/\(PercentCoding.encode(name))" }

}

extension JSON {
    /// A create request with other names for networks and containers, and the container's own name as an alias in each network:
    /// on the target's engine it has another.
    func sharing(networks: [String: String], containers: [String: String], alias: String) -> JSON {
        var json = self
        json.update(named: "HostConfig") { host in
            if let mode = host.value(named: "NetworkMode")?.stringValue {
                host.set(.string(Self.renamed(mode, networks, containers)), named: "NetworkMode")
            }
            for name in ["PidMode", "IpcMode"] {
                guard let mode = host.value(named: name)?.stringValue else { continue }
                host.set(.string(Self.renamed(mode, [:], containers)), named: name)
            }
            for name in ["VolumesFrom", "Links"] {
                guard let items = host.value(named: name)?.arrayValue else { continue }
                host.set(.array(items.map { Self.renamed($0, containers, isLink: name == "Links") }), named: name)
            }
        }
        guard !networks.isEmpty else { return json }
        let mode = value(named: "HostConfig")?.value(named: "NetworkMode")?.stringValue
        json.update(named: "NetworkingConfig") { networking in
            var endpoints = networking.value(named: "EndpointsConfig")?.objectValue?.members ?? []
            if let mode, networks[mode] != nil, !endpoints.contains(where: { networks[$0.key] == networks[mode] }) {
                endpoints.append(JSONObject.Member(key: mode, value: [:]))
            }
            let renamed = endpoints.map { member in
                guard let twin = networks[member.key] else { return member }
                var endpoint: JSON = member.value.isNull ? [:] : member.value
                endpoint = endpoint.withAlias(alias)
                if let links = endpoint.value(named: "Links")?.arrayValue {
                    endpoint.set(.array(links.map { Self.renamed($0, containers, isLink: true) }), named: "Links")
                }
                return JSONObject.Member(key: twin, value: endpoint)
            }
            networking.set(.object(JSONObject(renamed)), named: "EndpointsConfig")
        }
        return json
    }

    /// An endpoint's settings with one more alias.
    func withAlias(_ alias: String) -> JSON {
        var endpoint = self
        let aliases = endpoint.value(named: "Aliases")?.arrayValue ?? []
        if !alias.isEmpty, !aliases.contains(.string(alias)) {
            endpoint.set(.array(aliases + [.string(alias)]), named: "Aliases")
        }
        return endpoint
    }

    private static func renamed(_ mode: String, _ networks: [String: String], _ containers: [String: String]) -> String
    {
        if let twin = networks[mode] { return twin }
        guard mode.hasPrefix("container:"), let id = containers[String(mode.dropFirst(10))] else { return mode }
        return "container:\(id)"
    }

    /// `REF:rest` with another reference; a link without an alias keeps its reference as the alias.
    private static func renamed(_ item: JSON, _ containers: [String: String], isLink: Bool) -> JSON {
        guard let text = item.stringValue else { return item }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let id = containers[parts[0]] else { return item }
        if parts.count == 2 { return .string("\(id):\(parts[1])") }
        return .string(isLink ? "\(id):\(parts[0])" : id)
    }
}
