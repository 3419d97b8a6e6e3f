internal import DockerAPI
internal import Engine
package import Fleet
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Keeping the routes true: a container that is gone at its target is forgotten here.
extension FrontDoor {
    /// Follows every node that runs containers of this device, for as long as it does.
    func followTargets() async {
        let (targets, found) = AsyncStream<NodeID>.makeStream()
        let watcher = watchTargets { found.yield($0) }
        defer { targetWatchers[watcher] = nil }
        for node in routes.targets { found.yield(node) }
        await withDiscardingTaskGroup { group in
            for await node in targets where followed.insert(node).inserted {
                group.addTask { await self.follow(node) }
            }
        }
    }

    /// Keeps links to the likeliest targets, so that the first container that leaves does not wait for handshakes.
    func keepLinksWarm() async {
        while !Task.isCancelled {
            if mayLeave {
                for node in likeliest.prefix(4) where control.existingLink(to: node) == nil && !Task.isCancelled {
                    do {
                        _ = try await control.link(to: node)
                    } catch {
                        logger.debug("no link ahead of need", metadata: ["node": "\(node)", "error": "\(error)"])
                    }
                }
            }
            do { try await Task.sleep(for: .seconds(2)) } catch { return }
        }
    }

    /// Whether containers without labels of their own may be sent away.
    private var mayLeave: Bool {
        let policy = Policy(firstOf: [configuration.policy, control.gatewayPolicy])
        return policy.kind != .local || policy.target.map { $0 != control.node } ?? false
    }

    /// The nodes to which work may go, least busy first; eight at most.
    var likeliest: [NodeID] {
        control.snapshot.nodes.filter {
            $0.id != control.node && $0.state == .ready && $0.acceptsWork && $0.drainedSince == nil
        }
        .sorted { $0.measures.cpu < $1.measures.cpu }.prefix(8).map(\.id)
    }

    private func follow(_ node: NodeID) async {
        var delay = ReconnectDelay(first: .milliseconds(200))
        while !Task.isCancelled {
            if routes.routes(to: node).isEmpty {
                followed.remove(node)
                views[node] = nil
                return
            }
            do {
                let client = DockerClient(dialer: nodeDialer(node, purpose: "follow"), maximumIdle: 0)
                // The stream first, then the list: what happens between the two is seen twice rather than never.
                let stream = try await client.stream("GET", Self.followTarget)
                guard stream.status == 200 else { throw FrontDoorError(.unreachable, "status \(stream.status)") }
                view(of: node).hear()
                try await reconcile(node, client)
                refresh(node)
                delay.reset()
                for try await line in Lines(stream.body) {
                    if let event = try? JSON.parse(line) { note(event, at: node) }
                    if routes.routes(to: node).isEmpty { break }
                }
            } catch {
                logger.debug("a node is not followed", metadata: ["node": "\(node)", "error": "\(error)"])
            }
            view(of: node).silence()
            try? await Task.sleep(for: delay.next())
        }
    }

    private static let followTarget: String = {
        var query = Query()
        var filters = DockerFilters()
        filters.add("type", "container")
        let events = [
            "destroy", "rename", "start", "die", "pause", "unpause", "update", "health_status", "oom",
        ]
        for event in events { filters.add("event", event) }
        query.setFilters(filters)
        return query.target("/events")
    }()

    /// Forgets the routes whose containers a node's full list does not have.
    private func reconcile(_ node: NodeID, _ client: DockerClient) async throws {
        let before = routes.routes(to: node)
        let answer = try await client.request("GET", "/containers/json?all=1")
        guard answer.status == 200, let list = try JSON.parse(answer.body).arrayValue else { return }
        let there = Set(list.compactMap { $0["Id"]?.stringValue })
        for route in before where !there.contains(route.containerID) && !moving.contains(route.containerID) {
            if routes[route.containerID]?.epoch == route.epoch { vanished(route) }
        }
        for container in list {
            if let id = container["Id"]?.stringValue, let route = routes[id], route.target == node {
                lastStates[id] = container["State"]?.stringValue
                let isRunning = ["running", "paused"].contains(container["State"]?.stringValue)
                // It may have been started since it was listed: then its ports are open already.
                if container["State"]?.stringValue != "created" { followPorts(of: route, isRunning: isRunning) }
                if unseen.remove(id) != nil, container["State"]?.stringValue == "created" { fresh.insert(id) }
                // What ended while nobody listened may have outputs that are not here yet.
                if isRunning {
                    followMounts(of: route)
                } else if container["State"]?.stringValue == "exited" {
                    start { await self.containerEnded(route, exitCode: nil) }
                }
            }
            // A new name that was not recorded, or was given while this node was not heard.
            guard let id = container["Id"]?.stringValue, var route = routes[id], route.target == node,
                let name = container["Names"]?[0]?.stringValue.map({ presentation.name(String($0.dropFirst())) }),
                name != route.name
            else { continue }
            route.name = name
            keep(route)
        }
    }

    /// Looks at a container that was to be begun elsewhere and was not: what happened to it meanwhile was passed over.
    func catchUp(with lost: Route) {
        let isBehind = passedOver.remove(lost.containerID) != nil
        guard let route = routes[lost.containerID], route.target == lost.target else { return }
        touch(route)
        guard isBehind else { return }
        start { [self] in
            let client = DockerClient(dialer: nodeDialer(route.target, purpose: "follow"), maximumIdle: 0)
            do { try await reconcile(route.target, client) } catch {
                // Its watch begins anew with its link, and looks then.
                logger.debug("a node was not asked", metadata: ["node": "\(route.target)", "error": "\(error)"])
            }
        }
    }

    private func note(_ event: JSON, at node: NodeID) {
        guard let id = event["Actor"]?["ID"]?.stringValue, let route = routes[id], route.target == node else { return }
        let attributes = event["Actor"]?["Attributes"]
        hear(event, of: route)
        // What is left of a container at a node that lost it says nothing of the container, unless it stays after all.
        guard !moving.contains(id) else {
            passedOver.insert(id)
            return
        }
        switch event["Action"]?.stringValue {
        case "destroy": if ended[id] == nil { vanished(route) } else { drop(route) }
        case "rename":
            guard let name = attributes?["name"]?.stringValue else { return }
            var renamed = route
            renamed.name = presentation.name(name)
            if renamed.name != route.name { keep(renamed) }
        case "start":
            runs[id]?.startedAt = Self.seconds(event)
            lastStates[id] = "running"
            followPorts(of: route, isRunning: true)
            if ended[id] != nil || mounts?.isUsed(by: id) == false { followMounts(of: route) }
        case "pause": lastStates[id] = "paused"
        case "unpause": lastStates[id] = "running"
        case "die":
            lastStates[id] = "exited"
            let code = attributes?["exitCode"]?.stringValue.flatMap { Int64($0) }
            start { await self.containerEnded(route, exitCode: code) }
            guard let run = runs[id], run.startedAt > 0, attributes?["exitCode"]?.stringValue == "0" else { return }
            let speed = control.snapshot[node]?.measures.coreSpeed ?? 1
            estimates.learn(run.workKey, coreSeconds: (Self.seconds(event) - run.startedAt) * speed)
        default: break
        }
    }

    private static func seconds(_ event: JSON) -> Double { Double(event["timeNano"]?.intValue ?? 0) / 1e9 }

    /// Takes in what became of a container of this device's own engine: how long it ran, or that it is gone.
    package func note(local workload: Workload) {
        switch workload.state {
        case .exited: estimates.learn(workload, coreSpeed: describeNode().measures.coreSpeed)
        case .removed:
            do {
                try routes.journal.removeLocal(workload.containerID)
                if routes[workload.containerID] == nil { try routes.journal.removeAsked(workload.containerID) }
                for id in aliases.shownIDs(at: control.node)
                where aliases.engineID(of: id, at: control.node) == workload.containerID {
                    try aliases.remove(id, at: control.node)
                    if routes[id] == nil { try routes.journal.removeAsked(id) }
                }
            } catch {
                logger.error("the journal did not take a removal", metadata: ["error": "\(error)"])
            }
        default: break
        }
    }
}
