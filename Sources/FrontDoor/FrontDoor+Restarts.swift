internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// What is stopped to be given to another node is not started by its own engine meanwhile.
///
/// With itself an engine starts what is to run `always`, even what was stopped (`unless-stopped` is the same but for that), and
/// what is to run again `on-failure` and has ended by a signal, as by a stop.
extension FrontDoor {
    /// From here on its engine starts it only when it is told to. `allowRestarts` takes that back.
    func forbidRestarts(of route: Route) async throws {
        let policy = try await inspected(route)["HostConfig"]?["RestartPolicy"]
        guard let name = policy?["Name"]?.stringValue, ["always", "on-failure"].contains(name) else { return }
        let retries = policy?["MaximumRetryCount"]?.intValue ?? 0
        try routes.journal.put(
            Journal.Unrestarted(container: route.containerID, epoch: route.epoch, policy: name, retries: retries))
        try await setRestartPolicy(name == "always" ? "unless-stopped" : "no", retries: 0, of: route)
    }

    /// It stays with its engine, as it was.
    func allowRestarts(of route: Route) async throws {
        let id = route.containerID
        guard let noted = try routes.journal.unrestarted().first(where: { $0.container == id }) else { return }
        // What was made elsewhere since was made with the policy that was asked for.
        if noted.epoch == route.epoch {
            try await setRestartPolicy(noted.policy, retries: noted.retries, of: route)
        }
        try routes.journal.removeUnrestarted(id)
    }

    private func setRestartPolicy(_ name: String, retries: Int64, of route: Route) async throws {
        let isHere = route.target == control.node
        let client =
            isHere
            ? try client(at: control.node, purpose: "update")
            : DockerClient(dialer: dialer(to: route, purpose: "update"), maximumIdle: 0)
        let asked: JSON = ["RestartPolicy": ["Name": .string(name), "MaximumRetryCount": .int(retries)]]
        let answer = try await client.request("POST", "/containers/\(route.containerID)/update", body: asked.buffer)
        guard answer.status != 200 else { return }
        let failure = DockerFailure(status: answer.status, message: Self.message(of: answer))
        guard failure.isRefusal else { throw failure }
        // Podman knows no such call, and starts nothing with itself.
        logger.debug(
            "an engine does not change a restart policy",
            metadata: ["container": "\(route.name)", "node": "\(route.target)", "reason": "\(failure.message)"])
    }
}
