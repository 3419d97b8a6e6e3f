internal import DockerAPI
internal import Engine
internal import Fleet
internal import Link
internal import NIOCore
internal import Session

/// `GET /containers/json` over this device's engine and every node that runs its containers.
extension FrontDoor {
    /// Seconds after which a node that does not answer is shown as unreachable.
    static let listPatience = 5
    private static let lostPatience = 1

    func listContainers(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        let request: ListRequest
        do {
            request = try ListRequest(query)
        } catch {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        }
        let anchors = await anchors(of: request)
        var found: [JSON] = []
        var warning: [(String, String)] = []
        if let engineClient {
            do {
                let target = ListRequest.path(head, request.query(forLocal: anchors))
                let answer = try await engineClient.request("GET", target)
                guard answer.status == 200, let list = try? JSON.parse(answer.body).arrayValue else {
                    return .answer(Answer(answer.bytes))
                }
                found += list.filter { request.admits($0, by: anchors, isLocal: true) && !isLeaving($0["Id"]) }
            } catch {
                // What runs elsewhere is there all the same.
                guard !routes.isEmpty else { return failure(503, "lighter: \(error)") }
                warning = [("X-Lighter-Warning", error.message)]
            }
        }
        for (node, answer) in await askTargets(head, request, anchors) {
            switch answer {
            case .success(let list):
                found += list.map(listed).filter {
                    let route = $0["Id"]?.stringValue.flatMap { routes[$0] }
                    return request.selects($0)
                        && request.admits($0, by: anchors, isLocal: false, createdAt: route?.createdAt)
                }
            case .failure: found += unreachableEntries(node, request)
            }
        }
        found = newestFirst(found)
        if let limit = request.limit { found = Array(found.prefix(limit)) }
        return .answer(
            Answer(
                DockerResponseBytes.json(.array(found), version: greeting.apiVersion.description, extra: warning)))
    }

    /// As an engine orders its list. It shows whole seconds only: within one, what is known here decides, then its order.
    private func newestFirst(_ list: [JSON]) -> [JSON] {
        let keyed = list.enumerated().map { index, container in
            let shown = Double(container["Created"]?.intValue ?? 0)
            let exact = container["Id"]?.stringValue.flatMap { routes[$0]?.createdAt ?? createdHere[$0] }
            return (container: container, shown: shown, exact: exact ?? shown, index: index)
        }
        return keyed.sorted { ($0.shown, $0.exact, $1.index) > ($1.shown, $1.exact, $0.index) }.map(\.container)
    }

    private func askTargets(
        _ head: RequestHead, _ request: ListRequest, _ anchors: ListRequest.Anchors
    ) async -> [(NodeID, Result<[JSON], any Error>)] {
        await withTaskGroup(of: (NodeID, Result<[JSON], any Error>).self) { group in
            var answers: [(NodeID, Result<[JSON], any Error>)] = []
            for node in routes.targets {
                if request.isAnsweredHere, let known = listed(at: node, versioned("", head, at: node)) {
                    answers.append((node, .success(known)))
                    continue
                }
                let images = ancestorIDs(request, at: node)
                let query = request.query(forRemote: anchors, ancestors: images) { kind, name in
                    let twin = kind == "network" ? networks.twins(of: name)[node] : nil
                    return [presentation.nameAtTarget(name)] + (twin.map { [$0] } ?? [])
                }
                let target = versioned(query.target("/containers/json"), head, at: node)
                group.addTask { await self.askTarget(node, target) }
            }
            for await answer in group { answers.append(answer) }
            return answers
        }
    }

    /// How long a node may take to answer: eight round trips where its way is so long.
    /// - Parameter least: seconds for what it has to do.
    func patience(_ least: Int, for node: NodeID) -> Duration {
        max(.seconds(least), (control.existingLink(to: node)?.rtt ?? .zero) * 8)
    }

    func askTarget(_ node: NodeID, _ target: String) async -> (NodeID, Result<[JSON], any Error>) {
        // It must not show what has been shown as ended.
        await views[node]?.toldAll()
        // One that the gateway has lost may still be heard here; nobody waits for it to be dialled, or for long.
        let isLost = control.isConnected && control.snapshot[node]?.state == .unreachable
        do {
            guard !isLost || control.existingLink(to: node) != nil else {
                throw FrontDoorError(.unreachable, "node \(node) is lost")
            }
            let client = DockerClient(dialer: nodeDialer(node, purpose: "list"), maximumIdle: 0)
            let answer = try await client.request(
                "GET", target, timeout: patience(isLost ? Self.lostPatience : Self.listPatience, for: node))
            guard answer.status == 200, let list = try JSON.parse(answer.body).arrayValue else {
                throw FrontDoorError(.unreachable, Self.message(of: answer))
            }
            // One that was given another node may still be at the one that lost it, also after its user removed it.
            let own = list.filter { container in
                guard let route = container["Id"]?.stringValue.flatMap({ routes[$0] }) else {
                    return container["Labels"]?[CreateRequest.exclusiveLabel] == nil
                }
                return route.target == node
            }
            for container in own {
                guard let id = container["Id"]?.stringValue, routes[id] != nil else { continue }
                lastStates[id] = container["State"]?.stringValue
            }
            return (node, .success(own))
        } catch {
            return (node, .failure(error))
        }
    }

    /// `ancestor=busybox` in the words of a node that knows the image by its digest only.
    private func ancestorIDs(_ request: ListRequest, at node: NodeID) -> [String] {
        request.ancestors.flatMap { wanted in
            let reference = ImageReference(wanted)?.resolved
            let ids = routes.routes(to: node).filter { route in
                if route.imageID.isEmpty { return false }
                if reference != nil, ImageReference(route.image)?.resolved == reference { return true }
                let digest = route.imageID.dropFirst("sha256:".count)
                return route.imageID.hasPrefix(wanted) || digest.hasPrefix(wanted)
            }
            // Docker knows an image by its id in either form, Podman by the digits only.
            let there = Set(ids.map { imageNames.id(of: $0.imageID, at: node) })
            return Set(there.flatMap { [$0, String($0.dropFirst("sha256:".count))] }).union([wanted])
        }
    }

    /// When the containers that `since` and `before` name were created; asked of whoever has them.
    private func anchors(of request: ListRequest) async -> ListRequest.Anchors {
        var anchors = ListRequest.Anchors()
        for key in ListRequest.anchorKeys {
            guard let reference = request.anchor(key) else { continue }
            switch routes.resolve(reference) {
            case .exact(let route), .prefix(let route):
                anchors.times[key] = (route.createdAt, isLocal: false, id: route.containerID)
            case .none, .ambiguous:
                guard let text = await inspectLocal(reference)?["Created"]?.stringValue else { continue }
                anchors.times[key] = (Timestamp.seconds(text) ?? 0, isLocal: true, id: reference)
            }
        }
        return anchors
    }

    /// What is known of containers whose node does not answer: they are there, but what they do is not known.
    private func unreachableEntries(_ node: NodeID, _ request: ListRequest) -> [JSON] {
        routes.routes(to: node).compactMap { route in
            guard request.admits(unreachable: route, lastState: lastStates[route.containerID]) else { return nil }
            var labels: JSON = [:]
            for (key, value) in route.labels.sorted(by: { $0.key < $1.key }) { labels[key] = .string(value) }
            labels["io.lighter.target"] = .string(node.name)
            let entry: JSON = [
                "Id": .string(route.containerID), "Names": [.string("/\(route.name)")], "Image": .string(route.image),
                "ImageID": .string(route.imageID), "Command": .string(route.command),
                "Created": .int(Int64(route.createdAt)), "Ports": [], "Labels": labels, "State": "unknown",
                "Status": .string("Unreachable (node \(node))"), "HostConfig": ["NetworkMode": "default"],
                "NetworkSettings": ["Networks": [:]], "Mounts": [],
            ]
            return presentation.listed(entry, publishing: ports.published(route.containerID))
        }.filter { request.admits($0, by: ListRequest.Anchors(), isLocal: false) }
    }
}
