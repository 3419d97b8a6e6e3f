internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// What is stopped to be given to another node is not started by its own engine meanwhile.
///
/// What is to run `always` an engine starts with itself, even what was stopped; `unless-stopped` is the same but for that.
extension FrontDoor {
    /// From here on its engine starts it only when it is told to. `allowRestarts` takes that back.
    func forbidRestarts(of route: Route) async throws {
        let policy = try await inspected(route)["HostConfig"]?["RestartPolicy"]?["Name"]?.stringValue
        guard policy == "always" else { return }
        try routes.journal.putUnrestarted(route.containerID)
        try await setRestartPolicy("unless-stopped", of: route)
    }

    /// It stays with its engine, as it was.
    func allowRestarts(of route: Route) async throws {
        guard try routes.journal.isUnrestarted(route.containerID) else { return }
        try await setRestartPolicy("always", of: route)
        try routes.journal.removeUnrestarted(route.containerID)
    }

    private func setRestartPolicy(_ name: String, of route: Route) async throws {
        let isHere = route.target == control.node
        let client =
            isHere
            ? try client(at: control.node, purpose: "update")
            : DockerClient(dialer: dialer(to: route, purpose: "update"), maximumIdle: 0)
        let asked: JSON = ["RestartPolicy": ["Name": .string(name), "MaximumRetryCount": 0]]
        let answer = try await client.request("POST", "/containers/\(route.containerID)/update", body: asked.buffer)
        guard answer.status != 200 else { return }
        // Podman knows no such call, and starts nothing with itself.
        logger.debug(
            "an engine does not change a restart policy",
            metadata: [
                "container": "\(route.name)", "node": "\(route.target)", "reason": "\(Self.message(of: answer))",
            ])
    }
}
