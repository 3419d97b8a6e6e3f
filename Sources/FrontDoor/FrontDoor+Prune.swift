internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// `POST /containers/prune` over this device's engine and every node that runs its containers.
extension FrontDoor {
    func pruneContainers(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        var gone: [JSON] = []
        var reclaimed: Int64 = 0
        if let engineClient {
            do {
                let answer = try await engineClient.request("POST", head.target)
                guard answer.status == 200, let report = try? JSON.parse(answer.body) else {
                    return .answer(Answer(answer.bytes))
                }
                gone = report["ContainersDeleted"]?.arrayValue ?? []
                reclaimed = report["SpaceReclaimed"]?.intValue ?? 0
            } catch {
                return failure(503, "lighter: \(error)")
            }
        }
        do {
            let request = try PruneRequest(query, now: now())
            for container in await pruned(request) {
                gone.append(container["Id"] ?? .null)
                reclaimed += container["SizeRw"]?.intValue ?? 0
            }
        } catch {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        }
        let report: JSON = [
            "ContainersDeleted": gone.isEmpty ? .null : .array(gone), "SpaceReclaimed": .int(reclaimed),
        ]
        return .answer(Answer(DockerResponseBytes.json(report, version: greeting.apiVersion.description)))
    }

    /// Removes what does not run, node by node; a node that does not answer keeps what it has.
    private func pruned(_ request: PruneRequest) async -> [JSON] {
        await withTaskGroup(of: [JSON].self) { group in
            for node in routes.targets { group.addTask { await self.prune(node, request) } }
            var gone: [JSON] = []
            for await part in group { gone += part }
            return gone
        }
    }

    private func prune(_ node: NodeID, _ request: PruneRequest) async -> [JSON] {
        var gone: [JSON] = []
        await views[node]?.toldAll()
        do {
            let client = DockerClient(dialer: nodeDialer(node, purpose: "prune"), maximumIdle: 0)
            let answer = try await client.request(
                "GET", request.listTarget, timeout: patience(Self.listPatience, for: node))
            guard answer.status == 200, let list = try JSON.parse(answer.body).arrayValue else { return [] }
            for container in list where request.admits(container) {
                // One by one, each by its own ticket: a label proves nothing about whose container it is.
                guard let route = container["Id"]?.stringValue.flatMap({ routes[$0] }) else { continue }
                let caller = DockerClient(dialer: dialer(to: route, purpose: "remove"), maximumIdle: 0)
                guard try await caller.request("DELETE", "/containers/\(route.containerID)").status == 204 else {
                    continue
                }
                drop(route)
                gone.append(container)
            }
        } catch {
            logger.warning("a node was not pruned to its end", metadata: ["node": "\(node)", "error": "\(error)"])
        }
        return gone
    }
}
