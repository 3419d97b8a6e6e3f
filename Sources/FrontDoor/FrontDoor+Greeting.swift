internal import DockerAPI
internal import Engine
internal import Fleet
internal import NIOCore
internal import Session

/// What the device says of itself: `_ping`, `version` and `info`.
extension FrontDoor {
    /// Asks the device's engine what it is; called at the start and whenever the engine comes (back) up.
    package func engineCameUp() async {
        guard let engineClient, let answer = try? await engineClient.request("GET", "/_ping"), answer.status == 200
        else { return }
        isEngineDown = false
        greeting.learn(answer.headers)
        // Nobody who waits for a ping waits for that.
        if !routes.isEmpty { start { await self.learnPlainNetworks() } }
    }

    /// Asks the device's engine for what containers elsewhere are shown to be in.
    func learnPlainNetworks() async {
        guard let answer = try? await engineClient?.request("GET", "/networks", timeout: .seconds(Self.listPatience)),
            answer.status == 200,
            let networks = try? JSON.parse(answer.body).arrayValue
        else { return }
        plainNetworks = [:]
        for network in networks {
            guard let name = network["Name"]?.stringValue, let id = network["Id"]?.stringValue else { continue }
            // Podman's first network is what Docker calls bridge.
            if ["bridge", "none", "podman"].contains(name) { plainNetworks[name == "podman" ? "bridge" : name] = id }
        }
    }

    /// `_ping` from here: the same answer as the engine's, without asking it again.
    func planPing(_ head: RequestHead) -> Plan {
        if engine == nil { greeting.assume(workersAPI) }
        if engine == nil || greeting.isKnown { return .answer(greeting.ping(head.method)) }
        return .handle(
            Job { _, _ in
                await self.engineCameUp()
                return .answer(self.greeting.ping(head.method))
            })
    }

    /// Lets the engine answer, or answers in its place where there is none or it is away.
    func planWithoutEngine(_ head: RequestHead, _ answer: @escaping @Sendable @NodeLoop () async -> Answer) -> Plan {
        .ask { [self] in
            await engineCameUp()
            return engine == nil || isEngineDown ? .answer(await answer()) : plan(for: head)
        }
    }

    /// The version that every node which takes work speaks; that of the engine here, where it is only away.
    private var oldestAPI: APIVersion {
        if greeting.isKnown { return greeting.apiVersion }
        return workersAPI
    }

    private var workersAPI: APIVersion {
        workers.compactMap { APIVersion($0.engineAPIVersion) }.min() ?? .fallback
    }

    private var workers: [Node] {
        control.snapshot.nodes.filter { $0.id != control.node && $0.acceptsWork && $0.state == .ready }
    }

    func versionWithoutEngine() -> Answer {
        let platform = describeNode().platform.split(separator: "/")
        let system = platform.first.map(String.init) ?? "linux"
        let architecture = platform.last.map(String.init) ?? "amd64"
        let version = workers.first { !$0.engineVersion.isEmpty }?.engineVersion ?? configuration.version
        let details: JSON = [
            "ApiVersion": .string("\(oldestAPI)"), "Os": .string(system), "Arch": .string(architecture),
        ]
        let component: JSON = ["Name": "Lighter", "Version": .string(configuration.version), "Details": details]
        return Answer(
            DockerResponseBytes.json(
                [
                    "Platform": ["Name": "Lighter"], "Components": [component], "Version": .string(version),
                    "ApiVersion": .string("\(oldestAPI)"), "MinAPIVersion": "1.24", "GitCommit": "", "GoVersion": "",
                    "Os": .string(system), "Arch": .string(architecture), "KernelVersion": "", "BuildTime": "",
                ], version: "\(oldestAPI)"))
    }

    /// What containers elsewhere do, for the counts of `info`: asked of nodes whose view is not up to date, and of those that
    /// do not answer as it was heard last; one that has not been heard of is as it was made.
    private func countsElsewhere() async -> [(field: String, count: Int)] {
        await withTaskGroup { group in
            for node in routes.targets where listed(at: node, view(of: node).version) == nil {
                group.addTask { _ = await self.askTarget(node, "/containers/json?all=1") }
            }
        }
        let states = routes.all.map { lastStates[$0.containerID] ?? "created" }
        let running = states.count { ["running", "restarting"].contains($0) }
        let paused = states.count { $0 == "paused" }
        return [
            ("Containers", states.count), ("ContainersRunning", running), ("ContainersPaused", paused),
            ("ContainersStopped", states.count - running - paused),
        ]
    }

    /// `GET /info` of the engine here, with all of the device's containers counted.
    func info(_ head: RequestHead) async -> Job.Outcome {
        await answering {
            let answer = try await locally(head)
            guard answer.status == 200, var info = try? JSON.parse(answer.body) else { return answer }
            for (field, count) in await countsElsewhere() {
                info[field] = .int((info[field]?.intValue ?? 0) + Int64(count))
            }
            return answer.replacing(body: info.buffer)
        }
    }

    func infoWithoutEngine() async -> Answer {
        let own = describeNode()
        var counts: JSON = [:]
        for (field, count) in await countsElsewhere() { counts[field] = .int(count) }
        let state = engine == nil ? "has no engine of its own" : "cannot reach its own engine"
        let note = "This device \(state): containers run on \(workers.count) other node(s)"
        return Answer(
            DockerResponseBytes.json(
                [
                    "ID": .string(own.id.name), "Name": .string(own.id.name),
                    "Containers": counts["Containers"] ?? 0, "ContainersRunning": counts["ContainersRunning"] ?? 0,
                    "ContainersPaused": counts["ContainersPaused"] ?? 0,
                    "ContainersStopped": counts["ContainersStopped"] ?? 0, "Images": 0,
                    "Driver": "lighter", "OperatingSystem": "Lighter", "OSType": "linux",
                    "Architecture": .string(own.platform.split(separator: "/").last.map(String.init) ?? ""),
                    "NCPU": .int(Int(own.capacity.cpus.rounded(.up))), "MemTotal": .int(own.capacity.memory.bytes),
                    "ServerVersion": .string(configuration.version), "Warnings": [.string(note)], "Plugins": [:],
                    "Swarm": ["LocalNodeState": "inactive"], "Labels": [], "SecurityOptions": [],
                ], version: "\(oldestAPI)"))
    }
}
