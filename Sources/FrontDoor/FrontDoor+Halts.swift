internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// What a move has stopped runs again, whatever became of the move: also where its node cannot be asked now, where the gateway
/// does not answer, and after a crash of this daemon.
extension FrontDoor {
    /// Of a stop that is waited for, in seconds.
    private static let longestStop: Int64 = 600

    /// Has those go on that an earlier run of this daemon has stopped.
    func recoverHalts() {
        for halt in (try? routes.journal.halts()) ?? [] { recover(halt) }
    }

    /// Tries until it runs, or is gone, or its user does not want it to run.
    func recover(_ halt: Journal.Halt) {
        halted.insert(halt.container)
        start { [self] in
            await keepTrying(halt)
            halted.remove(halt.container)
        }
    }

    private func keepTrying(_ halt: Journal.Halt) async {
        let start = ContinuousClock.now
        var pause = 0.5
        while !Task.isCancelled, halted.contains(halt.container) {
            do {
                if try await goOn(halt, since: start) { return try routes.journal.removeHalt(of: halt.container) }
                pause = 0.5
            } catch {
                logger.warning(
                    "a container that was to be moved does not run yet",
                    metadata: ["container": "\(halt.container)", "reason": "\(stayed(error).reason)"])
            }
            do { try await Task.sleep(for: .seconds(pause)) } catch { return }
            pause = min(8, pause * 2)
        }
    }

    /// - Parameter start: when this was begun.
    /// - Returns: whether nothing is left to do.
    private func goOn(_ halt: Journal.Halt, since start: ContinuousClock.Instant) async throws -> Bool {
        let elsewhere = routes[halt.container]
        let here = elsewhere == nil ? await inspectLocal(halt.container).flatMap(routeHere) : nil
        guard var route = elsewhere ?? here else { return engineClient == nil || greeting.isKnown }
        guard halt.stage == .given, route.epoch == halt.epoch else {
            let state = try await inspected(route)["State"]
            if halt.stage == .made || route.epoch != halt.epoch {
                // What has run at its new place has had its turn.
                guard state?["Status"]?.stringValue == "created" else { return true }
            } else if state?["Running"]?.boolValue == true {
                // A stop may still be under way, which ends what is started meanwhile, too.
                return ContinuousClock.now > start + .seconds(stopSeconds(of: route) + 2)
            }
            guard halted.contains(halt.container) else { return true }
            try await startWhereItIs(route)
            return true
        }
        guard control.isConnected, moving.insert(halt.container).inserted else { return false }
        defer { endMoving(route) }
        let container: JSON
        do { container = try await inspected(route) } catch let error as Stayed where error.isGone {
            // Nobody removes what is the last of it.
            let waitingRoom = "\(Luggage.prefix)\(route.workload)"
            for stray in try routes.journal.strays()
            where stray.volume == waitingRoom || route.volumes.contains(stray.volume) {
                try routes.journal.remove(stray)
            }
            logger.error(
                "a move was not ended: what its container wrote waits in a volume",
                metadata: [
                    "container": "\(route.name)", "node": "\(route.target)",
                    "volume": "\(waitingRoom)",
                ])
            return true
        }
        let luggage = Luggage(container, route.workload, presentation.name)
        // With the ticket with which it was found.
        route = routes[halt.container] ?? route
        var creation = try await creation(route, try createRequest(of: route), chosen: route.target, carrying: luggage)
        creation.image = try await originalImage(container, of: route)
        creation.spec = try CreateRequest(creation.spec.json.withVolumes(luggage.volumes).buffer)
        (creation.isMove, creation.wasRunning) = (true, true)
        if here != nil {
            try await stayHere(route, creation, nil)
        } else {
            let left = aliases.engineID(of: route.containerID, at: route.target) ?? route.containerID
            try await makeAnew(route, left, creation, luggage, nil, "its move was not ended")
        }
        return true
    }

    /// How long its engine waits for it to stop.
    private func stopSeconds(of route: Route) -> Int64 {
        let asked = (try? createRequest(of: route))?.spec.json["StopTimeout"]?.intValue ?? 10
        return asked < 0 ? Self.longestStop : min(asked, Self.longestStop)
    }

    /// Its user says that it shall not run.
    func forgetHalt(of container: String) {
        guard halted.contains(container) else { return }
        do {
            // One that was given away has to be made anew all the same.
            let isGiven = try routes.journal.halts().contains { $0.container == container && $0.stage == .given }
            guard !isGiven else { return }
            halted.remove(container)
            try routes.journal.removeHalt(of: container)
        } catch {
            logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
        }
    }

    private func startWhereItIs(_ route: Route) async throws {
        guard route.target == control.node else {
            do { return try await startThere(route) } catch let error as DockerFailure
                where ![502, 503].contains(error.status)
            {
                // The engine has said that it does not start.
                logger.error(
                    "a container that could not be moved does not run",
                    metadata: ["container": "\(route.name)", "error": "\(error.message)"])
                return
            }
        }
        try await tellHere("start", route.containerID)
    }

    /// It runs again if it ran: at once where that can be, else as soon as it can.
    func startWhereItWas(_ route: Route, _ creation: Creation) async {
        guard creation.wasRunning else { return }
        let halt = halt(route, .stopped)
        halted.insert(halt.container)
        do {
            try routes.journal.put(halt)
            if try await goOn(halt, since: .now) {
                halted.remove(halt.container)
                return try routes.journal.removeHalt(of: route.containerID)
            }
        } catch {
            logger.warning(
                "a container that could not be moved is started when its node can be asked",
                metadata: ["container": "\(route.name)", "reason": "\(stayed(error).reason)"])
        }
        recover(halt)
    }

    func halt(_ route: Route, _ stage: Journal.Stage) -> Journal.Halt {
        Journal.Halt(container: route.containerID, epoch: route.epoch, stage: stage)
    }
}
