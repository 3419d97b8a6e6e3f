internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// Containers that were lost with a node go back to it when it is well again, where their policy is to (`keep-original`).
extension FrontDoor {
    /// Seconds before it is tried again to move what could not be.
    private static let returnRest = 30.0

    /// Moves containers back until cancelled.
    func followReturns() async {
        while !Task.isCancelled {
            let waiting = routes.all.filter { $0.original != nil }
            for node in Set(waiting.compactMap(\.original)) { noteHealth(of: node) }
            for node in wellSince.keys where !waiting.contains(where: { $0.original == node }) { wellSince[node] = nil }
            for route in waiting { await moveBack(route) }
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }

    private func noteHealth(of id: NodeID) {
        guard control.isConnected, let node = control.snapshot[id], node.state == .ready, node.drainedSince == nil
        else {
            wellSince[id] = nil
            return
        }
        if wellSince[id] == nil { wellSince[id] = now() }
    }

    /// For how many seconds a node has to be well: two terms of leases, and two more for each time that it was lost lately, so that
    /// one which comes and goes does not take its work along each time.
    func returnPatience(for node: Node) -> Double {
        let losses = min(10, node.losses?.count(at: now()) ?? 0)
        return 2 * (control.leaseTerm / .seconds(1)) * (1 + losses)
    }

    /// A job goes on where it has begun, and so does what shares a network with one that stays.
    func goesBack(_ route: Route) -> Bool {
        Self.reasonsToStay(routes.routes(to: route.target).filter(holdsCapacity)) { other in
            other.original == route.original && other.loss.kind == .restart ? nil : "it stays"
        }[route.containerID] == nil
    }

    private func moveBack(_ waiting: Route) async {
        guard let route = routes[waiting.containerID], let original = route.original, let since = wellSince[original],
            let node = control.snapshot[original], now() - since >= returnPatience(for: node),
            moveRests[route.containerID].map({ $0 <= now() }) ?? true,
            // What does not run is moved when it does.
            lastStates[route.containerID] == "running", goesBack(route), moving.insert(route.containerID).inserted
        else { return }
        defer { endMoving(route) }
        do {
            try await move(route, to: original, cause: .homecoming)
        } catch {
            moveRests[route.containerID] = now() + Self.returnRest
            logger.notice(
                "a container does not go back yet",
                metadata: ["container": "\(route.name)", "node": "\(original)", "reason": "\(stayed(error).reason)"])
        }
    }
}
