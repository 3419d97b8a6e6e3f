internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// A container of this device's own engine goes to another node: to its users it is the same.
extension FrontDoor {
    /// A container of the engine here, as if it were one elsewhere; nil where it is not known how it was asked for.
    func routeHere(_ container: JSON) -> Route? {
        guard let id = container["Id"]?.stringValue, let kept = try? routes.journal.asked(of: id),
            let spec = try? CreateRequest(kept.body),
            let workload = (try? routes.journal.localWorkloads())?[aliases.engineID(of: id, at: control.node) ?? id]
        else { return nil }
        let volumes = Luggage(container, workload.id, presentation.name).names.sorted()
        var route = Route(
            containerID: id, name: String((container["Name"]?.stringValue ?? "").drop { $0 == "/" }),
            workload: workload.id, epoch: workload.version.epoch, target: control.node, ticket: [],
            ticketRenewal: 0, image: spec.image, imageID: container["Image"]?.stringValue ?? "", hasTerminal: spec.tty,
            removesItself: spec.host.autoRemove, createdAt: workload.createdAt)
        route.ports = spec.host.publishedPorts.map(PublishedPort.init)
        route.asked = spec.limitsOfOtherNodes
        route.setVolumes(others: volumes)
        route.labels = spec.labels
        route.command = (spec.entrypoint + spec.command).joined(separator: " ")
        route.publishesAll = spec.host.publishAllPorts
        if let loss = try? lossPolicy(of: spec) { route.loss = loss }
        return route
    }

    /// Whether the engine here speaks of a container that is elsewhere by now.
    func isLeaving(_ id: JSON?) -> Bool { id?.stringValue.map { routes[$0] != nil } ?? false }

    func stopHere(_ route: Route, _ creation: Creation) async throws {
        if creation.wasRunning { try await tellHere("stop", route.containerID) }
    }

    /// Starts or stops a container of the engine here; it may be so already.
    func tellHere(_ action: String, _ id: String) async throws {
        let client = try client(at: control.node, purpose: action)
        let answer = try await client.request("POST", "/containers/\(id)/\(action)")
        guard [204, 304].contains(answer.status) else { throw Stayed(reason: Self.message(of: answer)) }
    }

    /// Removes what is left of it at the engine here, once that answers.
    func clearHere(_ engineID: String) async {
        guard await !isClearedHere(engineID) else { return }
        logger.warning(
            "what a container left on this device is removed when the engine can be asked",
            metadata: ["container": "\(engineID)"])
        start { [self] in
            var delay = ReconnectDelay(first: .seconds(1), longest: .seconds(30))
            repeat {
                do { try await Task.sleep(for: delay.next()) } catch { return }
            } while await !isClearedHere(engineID)
        }
    }

    private func isClearedHere(_ engineID: String) async -> Bool {
        let answer = try? await plainEngineClient?.request("DELETE", "/containers/\(engineID)?force=1&v=1")
        return answer.map { [204, 404].contains($0.status) } ?? false
    }

    /// It could not be made elsewhere, and goes on here: the gateway counts what it was as gone.
    /// - Parameter placed: what the gateway has given it; nil where that is not known.
    func stayHere(_ route: Route, _ creation: Creation, _ placed: Placed?) async throws {
        let id = route.containerID
        var left = aliases.engineID(of: id, at: control.node) ?? id
        if let placed, let made = routes[id] {
            leaveMounts(of: made)
            ports.close(id)
            sweep(PendingLease(placed: placed, target: made.target, creation: creation, madeAt: now()))
            try routes.remove(id)
            try aliases.remove(id, at: made.target)
            if let former = creation.leftHere, former != id {
                try aliases.put(id, engineID: former, at: control.node)
                left = former
            }
        }
        await control.abandon(route.workload, epoch: placed?.epoch ?? route.epoch + 1, reason: "it could not be moved")
        if var workload = try routes.journal.localWorkloads()[left] {
            workload.id = .random()
            workload.version = Version(epoch: 1, sequence: 0)
            localWorkload(left, workload)
            try routes.journal.putLocal(left, workload)
        }
        do {
            try await allowRestarts(of: route)
            if creation.wasRunning { try await tellHere("start", id) }
        } catch {
            guard creation.wasRunning else { throw error }
            // It is another's lease by now: what was to be done for the former one is over.
            let halt = Journal.Halt(container: id, epoch: 1, stage: .stopped)
            try routes.journal.put(halt)
            recover(halt)
        }
    }
}
