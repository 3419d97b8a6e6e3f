internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// What ran before is started at its new node, also where this program ends meanwhile, or the node does not answer.
extension FrontDoor {
    /// Starts what ran before.
    func run(_ route: Route) async {
        guard !fresh.contains(route.containerID) else { return }
        do {
            guard try await startAnew(route) else { return }
        } catch {
            say("was made, but \(stayed(error).reason)", of: route)
        }
        try? routes.journal.removeHalt(of: route.containerID)
    }

    /// Remembers that a container ran and is to be started at its new place: its mounts may take a while to get there, and this
    /// program may end meanwhile.
    func noteUnstarted(_ id: String, epoch: UInt64) throws {
        guard !fresh.contains(id) else { return }
        try routes.journal.put(Journal.Halt(container: id, epoch: epoch, stage: .made))
    }

    /// Starts at its new node what ran before; where that is not answered, it is tried until it is.
    /// - Returns: whether it was answered.
    /// - Throws: `Stayed` where the node says that it does not start.
    func startAnew(_ route: Route) async throws -> Bool {
        await letAttachedFollow(route.containerID)
        do {
            try await startThere(route)
            if lastStates[route.containerID] == "created" { lastStates[route.containerID] = "running" }
            return true
        } catch let error as DockerFailure where error.isRefusal {
            ports.close(route.containerID)
            throw Stayed(reason: "it does not start at \(route.target): \(error.message)")
        } catch {
            // It may run, or not have heard of it.
            logger.warning(
                "the start of a container at its new node was not answered",
                metadata: ["container": "\(route.name)", "node": "\(route.target)", "reason": "\(error)"])
            keepStarting(halt(route, .made))
            return false
        }
    }

    func keepStarting(_ halt: Journal.Halt) {
        do { try routes.journal.put(halt) } catch {
            logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
        }
        recover(halt)
    }

    /// Starts a container at its node, with its ports and mounts.
    func startThere(_ route: Route) async throws {
        try await openPorts(of: route)
        try await synchroniseMounts(of: route)
        let client = DockerClient(dialer: dialer(to: route, purpose: "start"), maximumIdle: 0)
        let answer = try await client.request("POST", "/containers/\(route.containerID)/start")
        guard [204, 304].contains(answer.status) else {
            throw DockerFailure(status: answer.status, message: Self.message(of: answer))
        }
        touch(route)
        await resizeWindow(of: route.containerID, client)
    }
}

extension DockerFailure {
    /// Whether the engine has said no; else it was not reached, and may have done it or not.
    var isRefusal: Bool { ![502, 503].contains(status) }
}
