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
        let halts = (try? routes.journal.halts()) ?? []
        for halt in halts { recover(halt) }
        // What the gateway has given away since, and was made there, is no longer this engine's.
        for (engineID, workload) in (try? routes.journal.localWorkloads()) ?? [:]
        where routes.all.contains(where: { $0.workload == workload.id && $0.epoch > workload.version.epoch }) {
            start { await self.clearHere(engineID) }
        }
        // What did not run has no halt.
        let stopped = Set(((try? routes.journal.unrestarted()) ?? []).map(\.container)).subtracting(
            halts.map(\.container))
        for container in stopped { start { await self.allowRestarts(of: container) } }
    }

    private func allowRestarts(of container: String) async {
        var delay = ReconnectDelay(first: .milliseconds(500), longest: .seconds(30))
        while !Task.isCancelled {
            do {
                // A move of now takes care of it itself.
                if moving.contains(container) || carrying[container] != nil { return }
                if let route = try await whereItIs(container) { try await allowRestarts(of: route) }
                return try routes.journal.removeUnrestarted(container)
            } catch {
                logger.debug(
                    "a container that was not moved has no restart policy yet",
                    metadata: ["container": "\(container)", "reason": "\(stayed(error).reason)"])
            }
            do { try await Task.sleep(for: delay.next()) } catch { return }
        }
    }

    /// Nil where it is gone.
    private func whereItIs(_ container: String) async throws -> Route? {
        if let route = routes[container] { return route }
        return try await askedHere(container).flatMap(routeHere)
    }

    /// Tries until it runs, or is gone, or its user does not want it to run, or another move has it.
    func recover(_ halt: Journal.Halt) {
        halted[halt.container] = halt
        start { [self] in
            await keepTrying(halt)
            if halted[halt.container] == halt { halted[halt.container] = nil }
        }
    }

    private func keepTrying(_ halt: Journal.Halt) async {
        let start = ContinuousClock.now
        var delay = ReconnectDelay(first: .milliseconds(500), longest: .seconds(8))
        while !Task.isCancelled, halted[halt.container] == halt {
            do {
                if !moving.contains(halt.container), try await goOn(halt, since: start) {
                    return try routes.journal.remove(halt)
                }
                delay.reset()
            } catch {
                logger.warning(
                    "a container that was to be moved does not run yet",
                    metadata: ["container": "\(halt.container)", "reason": "\(stayed(error).reason)"])
            }
            do { try await Task.sleep(for: delay.next()) } catch { return }
        }
    }

    /// - Parameter start: when this was begun.
    /// - Returns: whether nothing is left to do.
    private func goOn(_ halt: Journal.Halt, since start: ContinuousClock.Instant) async throws -> Bool {
        guard let route = try await whereItIs(halt.container) else { return true }
        if halt.isGiven, route.epoch == halt.epoch {
            return try await makeAgain(route, wasRunning: halt.stage == .given)
        }
        try await allowRestarts(of: route)
        if halt.stage == .givenAtRest { return true }
        let state = try await inspected(route)["State"]
        if halt.stage == .made || route.epoch != halt.epoch {
            // What has run at its new place has had its turn.
            guard state?["Status"]?.stringValue == "created" else { return true }
        } else if state?["Running"]?.boolValue == true {
            // A stop may still be under way, which ends what is started meanwhile, too.
            return ContinuousClock.now > start + .seconds(stopSeconds(of: route) + 2)
        }
        guard halted[halt.container] == halt else { return true }
        try await startWhereItIs(route)
        return true
    }

    private func makeAgain(_ route: Route, wasRunning: Bool) async throws -> Bool {
        guard control.isConnected, moving.insert(route.containerID).inserted else { return false }
        defer { endMoving(route) }
        do {
            try await makeAgain(route, wasRunning: wasRunning, because: "its move was not ended")
        } catch let error as Stayed where error.isGone {
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
        }
        return true
    }

    /// Makes it anew where it was, of all that it wrote: the gateway has given away what it was.
    func makeAgain(_ former: Route, wasRunning: Bool, because reason: String) async throws {
        let container = try await inspected(former)
        let luggage = Luggage(container, former.workload, presentation.name)
        // With the ticket with which it was found.
        let route = routes[former.containerID] ?? former
        var creation = try await creation(route, try createRequest(of: route), chosen: route.target, carrying: luggage)
        creation.image = try await originalImage(container, of: route)
        creation.spec = try CreateRequest(creation.spec.json.withVolumes(luggage.volumes).buffer)
        (creation.isMove, creation.wasRunning) = (true, wasRunning)
        if route.target == control.node { return try await stayHere(route, creation, nil) }
        let left = aliases.engineID(of: route.containerID, at: route.target) ?? route.containerID
        try await makeAnew(route, left, creation, luggage, nil, reason)
    }

    /// How long its engine waits for it to stop.
    private func stopSeconds(of route: Route) -> Int64 {
        let asked = (try? createRequest(of: route))?.spec.json["StopTimeout"]?.intValue ?? 10
        return asked < 0 ? Self.longestStop : min(asked, Self.longestStop)
    }

    /// Whether the gateway may have given it to another node: what it was must not be started any more.
    func isGivenAway(_ container: String) -> Bool { halted[container]?.isGiven ?? false }

    /// Its user says that it shall not run; one that was given away has to be made anew all the same.
    func forgetHalt(of container: String) {
        guard let halt = halted[container], !halt.isGiven else { return }
        halted[container] = nil
        start { await self.allowRestarts(of: container) }
        do { try routes.journal.remove(halt) } catch {
            logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
        }
    }

    private func startWhereItIs(_ route: Route) async throws {
        guard route.target == control.node else {
            do { return try await startThere(route) } catch let error as DockerFailure where error.isRefusal {
                // The engine has said that it does not start.
                say("does not start at \(route.target): \(error.message)", of: route)
                return
            }
        }
        try await tellHere("start", route.containerID)
    }

    /// It runs again if it ran: at once where that can be, else as soon as it can.
    func startWhereItWas(_ route: Route, _ creation: Creation) async {
        guard creation.wasRunning else {
            // Should it fail now, it is done when this program starts anew.
            try? await allowRestarts(of: route)
            try? routes.journal.remove(halt(route, .givenAtRest))
            return
        }
        let halt = halt(route, .stopped)
        halted[halt.container] = halt
        do {
            try routes.journal.put(halt)
            if try await goOn(halt, since: .now) {
                halted[halt.container] = nil
                return try routes.journal.remove(halt)
            }
        } catch {
            logger.warning(
                "a container that could not be moved is started when its node can be asked",
                metadata: ["container": "\(route.name)", "reason": "\(stayed(error).reason)"])
        }
        recover(halt)
    }

    func haltGiven(_ route: Route, _ creation: Creation) -> Journal.Halt {
        halt(route, creation.wasRunning ? .given : .givenAtRest)
    }

    func halt(_ route: Route, _ stage: Journal.Stage) -> Journal.Halt {
        Journal.Halt(container: route.containerID, epoch: route.epoch, stage: stage)
    }
}
