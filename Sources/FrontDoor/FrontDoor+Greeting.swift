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
        greeting.learn(answer.headers)
    }

    /// `_ping` from here: the same answer as the engine's, without asking it again.
    func planPing(_ head: RequestHead) -> Plan {
        if engine == nil { greeting.assume(oldestAPI) }
        if engine == nil || greeting.isKnown { return .answer(greeting.ping(head.method)) }
        return .handle(
            Job { _, _ in
                await self.engineCameUp()
                return .answer(self.greeting.ping(head.method))
            })
    }

    /// The version that every node which takes work speaks.
    private var oldestAPI: APIVersion {
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

    func infoWithoutEngine() -> Answer {
        let own = describeNode()
        let running = routes.all.count
        let note = "This device has no engine of its own: containers run on \(workers.count) other node(s)"
        return Answer(
            DockerResponseBytes.json(
                [
                    "ID": .string(own.id.name), "Name": .string(own.id.name), "Containers": .int(running),
                    "ContainersRunning": .int(running), "ContainersPaused": 0, "ContainersStopped": 0, "Images": 0,
                    "Driver": "lighter", "OperatingSystem": "Lighter", "OSType": "linux",
                    "Architecture": .string(own.platform.split(separator: "/").last.map(String.init) ?? ""),
                    "NCPU": .int(Int(own.capacity.cpus.rounded(.up))), "MemTotal": .int(own.capacity.memory.bytes),
                    "ServerVersion": .string(configuration.version), "Warnings": [.string(note)], "Plugins": [:],
                    "Swarm": ["LocalNodeState": "inactive"], "Labels": [], "SecurityOptions": [],
                ], version: "\(oldestAPI)"))
    }
}
