internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// `GET /system/df`: what this device's engine keeps, and what others keep for it.
extension FrontDoor {
    func diskUsage(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head)
            guard answer.status == 200, var usage = try? JSON.parse(answer.body) else { return answer }
            let types = query.all("type")
            if types.isEmpty || types.contains("container") {
                usage["Containers"] = .array((usage["Containers"]?.arrayValue ?? []) + (await sizedContainers(head)))
            }
            if types.isEmpty || types.contains("volume") {
                let more = await sizedVolumes()
                usage["Volumes"] = .array((usage["Volumes"]?.arrayValue ?? []) + more)
            }
            return answer.replacing(body: usage.buffer)
        }
    }

    /// Volumes elsewhere with their sizes; -1, as engines say it, where a node does not answer.
    private func sizedVolumes() async -> [JSON] {
        let sizes = await volumeSizes(at: Set(volumes.away.map(\.node)))
        return volumes.away.map { name, _, shown in
            var shown = shown
            let users = routes.all.count { $0.volumes.contains(name) }
            shown["UsageData"] = ["RefCount": .int(users), "Size": sizes[name] ?? -1]
            return shown
        }
    }

    /// The sizes of this device's volumes at other nodes, by name.
    func volumeSizes(at nodes: Set<NodeID>) async -> [String: JSON] {
        var sizes: [String: JSON] = [:]
        for node in nodes {
            let client = DockerClient(dialer: nodeDialer(node, purpose: "df"), maximumIdle: 0)
            guard
                let answer = try? await client.request(
                    "GET", "/system/df", timeout: patience(Self.dfPatience, for: node)),
                let found = (try? JSON.parse(answer.body))?["Volumes"]?.arrayValue
            else { continue }
            for volume in found {
                sizes[presentation.name(volume["Name"]?.stringValue ?? "")] = volume["UsageData"]?["Size"]
            }
        }
        return sizes
    }

    /// Seconds for a node to measure its volumes.
    private static let dfPatience = 30

    /// Containers elsewhere with their sizes; a node that does not answer is left out.
    private func sizedContainers(_ head: RequestHead) async -> [JSON] {
        await withTaskGroup(of: [JSON].self) { group in
            for node in routes.targets {
                let target = versioned("/containers/json?all=1&size=1", head, at: node)
                group.addTask { (try? await self.askTarget(node, target).1.get()) ?? [] }
            }
            var found: [JSON] = []
            for await list in group { found += list.map(listed) }
            return found
        }
    }
}
