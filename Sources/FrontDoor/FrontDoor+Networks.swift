internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// User-defined networks: the device's own engine has them all, and each node that runs containers of one has its twin.
extension FrontDoor {
    func planNetwork(_ head: RequestHead, _ route: DockerRoute, _ query: Query) -> Plan {
        guard engine != nil else { return local(head) }
        return switch route {
        case .networkCreate: .handle(Job { body, _ in await self.createNetwork(head, body) })
        case .networkList where query.first("filters")?.contains("dangling") ?? false && !routes.isEmpty:
            .handle(Job { _, _ in await self.listNetworks(head, query) })
        case .networkPrune where !networks.ids.isEmpty:
            .handle(Job { _, _ in await self.pruneNetworks(head, query) })
        case .network(let reference, "") where head.method == "GET" && !routes.isEmpty:
            .handle(Job { _, _ in await self.inspectNetwork(head, reference) })
        case .network(let reference, "") where head.method == "DELETE" && !networks.ids.isEmpty:
            .handle(Job { _, _ in await self.removeNetwork(head, reference) })
        case .network(let reference, let action) where !action.isEmpty && !routes.isEmpty:
            .handle(Job { body, _ in await self.attach(head, reference, action, body) })
        default: local(head)
        }
    }

    /// Passes a call to the device's engine with its body; with the answer, for what has to be done about it.
    func locally(_ head: RequestHead, _ body: ByteBuffer? = nil) async throws -> DockerResponse {
        guard let engineClient else { throw FrontDoorError(.unreachable, "this device has no engine of its own") }
        return try await engineClient.request(
            head.method, head.target, headers: [("Content-Type", "application/json")], body: body)
    }

    func answering(_ call: () async throws -> DockerResponse) async -> Job.Outcome {
        do {
            return .answer(Answer(try await call().bytes))
        } catch let error as DockerFailure {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        } catch {
            return failure(503, "lighter: \(error)")
        }
    }

    /// The device's id of a network of another node's.
    /// - Parameter name: what it is called on the device.
    func network(_ id: String, named name: String, at node: NodeID) -> String? {
        // Where a container shows a network's id, Podman gives its name.
        networks.network(ofTwin: id, named: presentation.name(id), at: node)
            ?? plainNetworks[name == "podman" ? "bridge" : name]
    }

    // MARK: Twins

    /// Makes a network's twin at a node, or finds it.
    /// - Throws: `DockerFailure` in the node's words where it does not take it.
    func twin(of network: SharingPlan.Network, at node: NodeID) async throws -> String {
        // One at a time: engines make two of one name when they are asked twice at once.
        let key = "/twin/\(network.id)/\(node)"
        await routes.hold(key)
        defer { routes.unreserve(key) }
        let isInUse = routes.routes(to: node).contains { $0.networks.contains(network.id) }
        if isInUse, let known = networks.twins(of: network.id)[node] { return known }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "network"), maximumIdle: 0)
        let body = network.shown.asNetworkCreate(addresses: networks.addresses(of: network.id)).buffer
        var answer = try await client.request("POST", "/networks/create", body: body)
        if answer.status == 409 || answer.status == 500 {
            // Made earlier, and forgotten here: Docker says 409, Podman 500 as to anything else that is wrong.
            let known = try await client.request("GET", "/networks/\(PercentCoding.encode(network.name))")
            if known.status == 200 { answer = known }
        }
        guard [200, 201].contains(answer.status), let twin = (try? JSON.parse(answer.body))?["Id"]?.stringValue else {
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
        try networks.put(twin: twin, of: network.id, named: network.name, at: node)
        return twin
    }

    /// Removes the twins of networks that the device's engine does not have any more.
    func sweepNetworks() async {
        guard !networks.ids.isEmpty else { return }
        while !control.isConnected {
            do { try await Task.sleep(for: .milliseconds(500)) } catch { return }
        }
        for id in networks.ids {
            guard let answer = try? await engineClient?.request("GET", "/networks/\(id)"), answer.status == 404 else {
                continue
            }
            _ = try? await removeTwins(of: id)
        }
    }

    private func removeTwins(of id: String) async throws {
        var isDone = true
        for (node, twin) in networks.twins(of: id) {
            let client = DockerClient(dialer: nodeDialer(node, purpose: "network"), maximumIdle: 0)
            let isUsed = routes.routes(to: node).contains { $0.networks.contains(id) }
            do {
                let answer = try await client.request("DELETE", "/networks/\(twin)", timeout: patience(10, for: node))
                guard [204, 404].contains(answer.status) else {
                    throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
                }
            } catch let error as DockerFailure {
                throw error
            } catch  where isUsed {
                throw DockerFailure(
                    status: 503,
                    message: "lighter: node \(node), where the network is used, cannot be reached: \(error)")
            } catch {
                // Nothing of this device's uses it there; the next run of this daemon tries again.
                isDone = false
                continue
            }
            try networks.put(twin: nil, of: id, at: node)
        }
        if isDone { try networks.forget(id) }
    }

    // MARK: Calls

    private func createNetwork(_ head: RequestHead, _ body: ByteBuffer) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head, body)
            if answer.status == 201, let id = (try? JSON.parse(answer.body))?["Id"]?.stringValue,
                let wish = (try? JSON.parse(body))?.value(named: "IPAM"), wish.value(named: "Config")?[0] != nil
            {
                try networks.put(addresses: wish, of: id)
            }
            return answer
        }
    }

    private func listNetworks(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head)
            guard answer.status == 200, let list = try? JSON.parse(answer.body).arrayValue,
                let wanted = try query.filters().values("dangling").first
            else { return answer }
            // What the engine here takes for unused may be used elsewhere.
            let used = Set(routes.all.flatMap(\.networks))
            let isUnused = { (network: JSON) in !used.contains(network["Id"]?.stringValue ?? "") }
            if ["true", "1"].contains(wanted) {
                return answer.replacing(body: JSON.array(list.filter(isUnused)).buffer)
            }
            var more: [JSON] = []
            let listed = Set(list.compactMap { $0["Id"]?.stringValue })
            for id in used.subtracting(listed) {
                if let found = await network(id) { more.append(found) }
            }
            return answer.replacing(body: JSON.array(list + more).buffer)
        }
    }

    private func inspectNetwork(_ head: RequestHead, _ reference: String) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head)
            guard answer.status == 200, var shown = try? JSON.parse(answer.body), let id = shown["Id"]?.stringValue
            else { return answer }
            var members = shown["Containers"]?.objectValue?.members ?? []
            let before = members.count
            for (node, twin) in networks.twins(of: id)
            where routes.routes(to: node).contains(where: { $0.networks.contains(id) }) {
                members += await self.members(ofTwin: twin, at: node)
            }
            guard members.count > before else { return answer }
            shown["Containers"] = .object(JSONObject(members))
            return answer.replacing(body: shown.buffer)
        }
    }

    private func members(ofTwin twin: String, at node: NodeID) async -> [JSONObject.Member] {
        let client = DockerClient(dialer: nodeDialer(node, purpose: "network"), maximumIdle: 0)
        guard
            let answer = try? await client.request(
                "GET", "/networks/\(twin)", timeout: patience(Self.listPatience, for: node)), answer.status == 200,
            let members = (try? JSON.parse(answer.body))?["Containers"]?.objectValue?.members
        else { return [] }
        return members.filter { routes[$0.key] != nil }.map { member in
            var value = member.value
            if let name = value["Name"]?.stringValue { value["Name"] = .string(presentation.name(name)) }
            return JSONObject.Member(key: member.key, value: value)
        }
    }

    private func removeNetwork(_ head: RequestHead, _ reference: String) async -> Job.Outcome {
        await answering {
            guard let shown = await network(reference), let id = shown["Id"]?.stringValue, networks.ids.contains(id)
            else { return try await locally(head) }
            // The engine here refuses what is in use here, before anything is removed elsewhere.
            if !(shown["Containers"]?.objectValue?.isEmpty ?? true) { return try await locally(head) }
            let running = routes.all.filter { $0.networks.contains(id) && lastStates[$0.containerID] == "running" }
            guard running.isEmpty else {
                let name = shown["Name"]?.stringValue ?? reference
                throw DockerFailure(
                    status: 403,
                    message: "error while removing network: network \(name) id \(id) has active endpoints")
            }
            try await removeTwins(of: id)
            return try await locally(head)
        }
    }

    /// The engine's own prune would take a network that is used elsewhere only.
    private func pruneNetworks(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            guard let engineClient else { throw FrontDoorError(.unreachable, "this device has no engine of its own") }
            let request = try PruneRequest(query, now: now())
            let used = Set(routes.all.flatMap(\.networks))
            var listing = Query()
            var filters = DockerFilters()
            filters.add("dangling", "true")
            listing.setFilters(filters)
            let answer = try await engineClient.request("GET", listing.target("/networks"))
            guard answer.status == 200, let list = try? JSON.parse(answer.body).arrayValue else { return answer }
            var gone: [JSON] = []
            for network in list {
                guard let id = network["Id"]?.stringValue, let name = network["Name"]?.stringValue,
                    !used.contains(id), !["bridge", "host", "none"].contains(name), request.admits(labelled: network)
                else { continue }
                try? await removeTwins(of: id)
                if try await engineClient.request("DELETE", "/networks/\(id)").status == 204 {
                    gone.append(.string(name))
                }
            }
            let report: JSON = ["NetworksDeleted": gone.isEmpty ? .null : .array(gone)]
            return DockerResponse(json: report)
        }
    }

    // MARK: Connecting

    private func attach(
        _ head: RequestHead, _ reference: String, _ action: String, _ body: ByteBuffer
    ) async -> Job.Outcome {
        await answering {
            guard let asked = try? JSON.parse(body), let name = asked.value(named: "Container")?.stringValue else {
                return try await locally(head, body)
            }
            guard let shown = await network(reference), let id = shown["Id"]?.stringValue else {
                if case .none = routes.resolve(name) { return try await locally(head, body) }
                throw DockerFailure(status: 404, message: "network \(reference) not found")
            }
            let network = SharingPlan.Network(
                id: id, name: shown["Name"]?.stringValue ?? reference, shown: shown, references: [])
            switch routes.resolve(name) {
            case .none, .ambiguous:
                if action == "connect", network.name != "bridge", await inspectLocal(name) != nil {
                    try await checkCompany(of: network, of: name, at: control.node)
                }
                return try await locally(head, body)
            case .exact(let route), .prefix(let route):
                if action == "connect", network.name != "bridge" {
                    try await checkCompany(of: network, of: route.name, at: route.target)
                }
                return try await attach(route, network, action, asked)
            }
        }
    }

    /// Containers of one network are on one node, or they would not find one another.
    private func checkCompany(of network: SharingPlan.Network, of container: String, at node: NodeID) async throws {
        var plan = SharingPlan()
        plan.networks = [network]
        guard let company = await company(of: plan, project: nil), company.node != node else { return }
        throw DockerFailure(
            status: 409,
            message: "lighter: container \(container) runs on node \(node), and the containers of network "
                + "\(network.name) on node \(company.node): they would not reach one another; create it with "
                + "--network \(network.name), and it is placed beside them")
    }

    private func attach(
        _ route: Route, _ network: SharingPlan.Network, _ action: String, _ asked: JSON
    ) async throws -> DockerResponse {
        var body = asked
        body.set(.string(route.containerID), named: "Container")
        // Every engine has one of its own.
        let isEverywhere = network.name == "bridge"
        if action == "connect", !isEverywhere {
            let endpoint = body.value(named: "EndpointConfig") ?? [:]
            body.set((endpoint.isNull ? [:] : endpoint).withAlias(route.name), named: "EndpointConfig")
        }
        let twin: String
        if isEverywhere {
            twin = network.name
        } else if action == "connect" {
            guard network.shown["Driver"]?.stringValue == "bridge" else {
                throw DockerFailure(
                    status: 409,
                    message: "lighter: network \(network.name) is on this device only (driver "
                        + "\(network.shown["Driver"]?.stringValue ?? "unknown")), and container \(route.name) runs on "
                        + "node \(route.target)")
            }
            twin = try await self.twin(of: network, at: route.target)
        } else if let known = networks.twins(of: network.id)[route.target] {
            twin = known
        } else {
            throw DockerFailure(
                status: 404, message: "container \(route.containerID) is not connected to network \(network.name)")
        }
        let client = DockerClient(dialer: dialer(to: route, purpose: action), maximumIdle: 0)
        let answer = try await client.request("POST", "/networks/\(twin)/\(action)", body: body.buffer)
        touch(route)
        guard answer.status == 200, var changed = routes[route.containerID] else {
            guard answer.status >= 400 else { return answer }
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
        guard !isEverywhere else { return answer }
        changed.networks.removeAll { $0 == network.id }
        if action == "connect" { changed.networks.append(network.id) }
        keep(changed)
        return answer
    }
}

extension JSON {
    /// The body that makes a network like this one, which an engine describes.
    /// - Parameter addresses: what the user asked for; an engine draws its own otherwise.
    func asNetworkCreate(addresses: JSON?) -> JSON {
        var body: JSON = [
            "Name": self["Name"] ?? "", "Driver": "bridge", "Internal": self["Internal"] ?? false,
            "Attachable": self["Attachable"] ?? false, "EnableIPv6": self["EnableIPv6"] ?? false,
            "Options": self["Options"] ?? .null, "Labels": self["Labels"] ?? .null,
        ]
        if let addresses { body["IPAM"] = addresses }
        return body
    }
}
