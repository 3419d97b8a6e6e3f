internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// A container goes to another node with all that it wrote: its writable layer, and its volumes.
///
/// Until the gateway has given it to the other node, nothing is different from before but that it was stopped. From then on it
/// either runs there, or is made anew where it was, of what it had there. What is left is removed once it runs.
extension FrontDoor {
    /// - Throws: `Stayed`; it is where it was then, and runs if it ran.
    func moveWithState(_ route: Route, to node: NodeID, cause: MoveCause) async throws -> Journey {
        guard carrying[route.containerID] == nil, !moving.contains(route.containerID) else {
            throw Stayed(reason: "it is being given another node just now")
        }
        let container = try await inspected(route)
        let luggage = try await luggage(container, of: route, to: node)
        guard Set(carrying.values.flatMap(\.names)).isDisjoint(with: luggage.names) else {
            throw Stayed(reason: "a volume of its is travelling just now")
        }
        // Another may have begun while its engine was asked.
        guard carrying[route.containerID] == nil else {
            throw Stayed(reason: "it is being given another node just now")
        }
        carrying[route.containerID] = luggage
        var leftovers: NodeID?
        do {
            var creation = try await creationOfMove(route, to: node, cause: cause, carrying: luggage)
            creation.image = try await originalImage(container, of: route)
            creation.awayImage = nil
            creation.spec = try CreateRequest(creation.spec.json.withVolumes(luggage.volumes).buffer)
            try await check(creation, mayGoTo: node)
            let journey = try await travel(creation, luggage, route, node, &leftovers)
            carrying[route.containerID] = nil
            return journey
        } catch {
            // Nothing travels again before its copies of this time are gone.
            let left = leftovers
            start { [self] in
                if let left { await discardCopies(luggage, at: left) }
                carrying[route.containerID] = nil
            }
            throw error
        }
    }

    func inspected(_ route: Route) async throws -> JSON {
        if route.target == control.node {
            guard let found = try await askedHere(route.containerID) else {
                throw Stayed(reason: "it is gone", isGone: true)
            }
            return found
        }
        let client = DockerClient(dialer: dialer(to: route, purpose: "inspect"), maximumIdle: 0)
        let answer = try await client.request("GET", "/containers/\(route.containerID)/json")
        guard answer.status == 200 else {
            throw Stayed(reason: Self.message(of: answer), isGone: answer.status == 404)
        }
        return try answer.json()
    }

    /// - Parameter leftovers: where it has left copies that are nothing's.
    private func travel(
        _ asked: Creation, _ luggage: Luggage, _ former: Route, _ node: NodeID, _ leftovers: inout NodeID?
    ) async throws -> Journey {
        var route = former
        let left = aliases.engineID(of: route.containerID, at: route.target) ?? route.containerID
        let state = MoveState(asked)
        defer { if state.isMoving { endMoving(route) } }
        var journey: Journey
        let placed: Placed
        do {
            try await makeCopies(luggage, at: node)
            journey = try await carry(luggage, of: route, to: node) { [self] in try await beginStop(former, state) }
            // Its ticket may have been renewed on the way: the one from before would be too old for the way back.
            if let current = routes[route.containerID], current.epoch == route.epoch { route = current }
            try await checkAlone(luggage, route)
            let body = state.creation.spec.json.withoutFilling(journey.empty).buffer
            state.creation.spec = try CreateRequest(body)
            try routes.journal.put(haltGiven(route, state.creation))
            placed = try await place(carried: state.creation, route)
        } catch {
            if error is Undecided {
                // The copies stay: what is there may be the last of it.
                recover(haltGiven(route, state.creation))
            } else {
                if state.isMoving { await startWhereItWas(route, state.creation) }
                leftovers = node
            }
            throw stayed(error)
        }
        do {
            journey.isAnswered = try await arrive(state.creation, placed, luggage, at: node, route)
        } catch {
            try await goBack(route, left, state.creation, luggage, placed, because: stayed(error), &leftovers)
        }
        if journey.isAnswered { try? routes.journal.removeHalt(of: route.containerID) }
        if journey.isAnswered, let stoppedAt = state.stoppedAt { journey.stopped = stoppedAt.duration(to: .now) }
        if route.target == control.node { await clearHere(left) } else { await clear(left, of: route) }
        try? routes.journal.removeUnrestarted(route.containerID)
        await discardCopies(luggage, at: route.target)
        do { try await removeStray(.init(volume: luggage.waitingRoom, node: node)) } catch {
            logger.debug("a waiting room stays for a while", metadata: ["reason": "\(error)"])
        }
        logger.notice(
            "a container was moved with what it wrote",
            metadata: [
                "container": "\(route.name)", "from": "\(route.target)", "to": "\(node)",
                "stopped": "\(journey.stopped ?? .zero)", "bytes": "\(journey.ahead)", "last": "\(journey.last)",
            ])
        return journey
    }

    func stayed(_ error: any Error) -> Stayed {
        if let known = error as? Stayed { return known }
        let said = (error as? DockerFailure)?.message ?? (error as? FrontDoorError)?.message ?? "\(error)"
        return Stayed(reason: said.hasPrefix("lighter: ") ? String(said.dropFirst("lighter: ".count)) : said)
    }

    /// From here on its users wait.
    private func beginStop(_ route: Route, _ state: MoveState) async throws {
        let isHere = route.target == control.node
        guard let current = isHere ? route : routes[route.containerID], current.epoch == route.epoch else {
            throw Stayed(reason: "it was removed, or begun elsewhere, meanwhile")
        }
        let container: JSON = isHere ? try await inspected(route) : .null
        guard control.isConnected else { throw Stayed(reason: "the gateway cannot be asked now: try again") }
        guard moving.insert(route.containerID).inserted else {
            throw Stayed(reason: "it is being given another node just now")
        }
        state.isMoving = true
        let condition = isHere ? container["State"]?["Status"]?.stringValue : lastStates[route.containerID]
        state.creation.wasRunning = ["running", "restarting"].contains(condition)
        try await forbidRestarts(of: current)
        if isHere { state.creation.leftHere = aliases.engineID(of: route.containerID, at: control.node) }
        if state.creation.wasRunning {
            try routes.journal.put(halt(route, .stopped))
            state.stoppedAt = .now
        }
        if isHere { try await stopHere(route, state.creation) } else { try await stop(current, state.creation) }
    }

    /// Whether the gateway has given it away is not known: it must not be started.
    struct Undecided: Error, CustomStringConvertible {
        var description: String

        init(at node: NodeID) {
            description =
                "the gateway does not say whether it was given away: it is made anew at \(node), and started, when the gateway "
                + "is back"
        }
    }

    /// The gateway gives it the other node once the report that it has stopped is there.
    ///
    /// Once it was asked, only its own refusal says that nothing was given away.
    func place(carried creation: Creation, _ route: Route) async throws -> Placed {
        let end = ContinuousClock.now + .seconds(60)
        let reported = ContinuousClock.now + .seconds(10)
        let refused = ContinuousClock.now + .seconds(2)
        var isOpen = false
        var pause = 0.02
        while true {
            switch await asked(creation.request, route.epoch) {
            case .success(let placed) where placed.decision.target != nil: return placed
            case .success(let placed):
                // A gateway that has just come back does not hear all of its nodes yet.
                guard ContinuousClock.now < (isOpen ? end : refused) else {
                    throw Stayed(reason: placed.decision.reason)
                }
            case .failure(let error) where !Self.refusals.contains(error.code):
                isOpen = true
                guard ContinuousClock.now < end else { throw Undecided(at: route.target) }
            case .failure(let error):
                // What was given away, and not heard of, may be given again: nothing of it has been made.
                if isOpen, let placed = try? await control.place(creation.request, refused: [:]),
                    placed.decision.target == creation.request.policy.target
                {
                    return placed
                }
                guard error.code == .conflict, ContinuousClock.now < (isOpen ? end : reported) else {
                    throw isOpen ? Undecided(at: route.target) : Stayed(reason: error.message)
                }
            }
            do { try await Task.sleep(for: .seconds(pause * Double.random(in: 0.75...1.25))) } catch {
                throw isOpen ? Undecided(at: route.target) : error
            }
            pause = min(0.5, pause * 1.25)
        }
    }

    /// By which the gateway says that it has not given it away.
    private static let refusals: Set<SessionError.Code> = [.denied, .notFound, .invalid, .conflict]

    // MARK: There

    /// Makes it at the other node and starts it if it ran.
    /// - Returns: whether its start was answered.
    /// - Throws: what was in the way; it does not run there then.
    private func arrive(
        _ creation: Creation, _ placed: Placed, _ luggage: Luggage, at node: NodeID, _ route: Route
    ) async throws -> Bool {
        if node == control.node {
            return try await arriveHere(creation, placed, route)
        }
        try await make(creation, placed, at: node, route)
        guard let current = routes[route.containerID] else { return true }
        await settle(luggage, at: node, before: route.target)
        guard creation.wasRunning else { return true }
        do { return try await startAnew(current) } catch {
            await settle(luggage, at: route.target, before: node)
            throw error
        }
    }

    /// Its layer is in place before its route leads there.
    private func make(_ creation: Creation, _ placed: Placed, at node: NodeID, _ route: Route) async throws {
        let lease = PendingLease(placed: placed, target: node, creation: creation, madeAt: now())
        switch await attempt(creation, lease) {
        case .noRoom(let reason), .refused(let reason), .unreachable(let reason), .brokeOff(let reason):
            sweep(lease)
            throw Stayed(reason: reason)
        case .done(let outcome):
            forgetCreating(lease)
            guard let current = routes[route.containerID], current.workload == lease.workload,
                current.epoch == placed.epoch
            else { throw Stayed(reason: "its create was refused\(outcome.refusal.map { ": \($0)" } ?? "")") }
        }
    }

    /// - Returns: whether its start was answered, if it ran.
    /// - Throws: what was in the way; nothing of it is here then, and it is known where it was.
    func arriveHere(_ creation: Creation, _ placed: Placed, _ route: Route) async throws -> Bool {
        let kept = try createRequest(of: route)
        var creation = creation
        if let image = creation.image, await localImage(creation.spec.image)?.id != image.id {
            creation.spec = try CreateRequest(creation.spec.json.withImage(image.id).buffer)
        }
        let former = volumes.places(of: creation.luggage?.names ?? [])
        let left = aliases.engineID(of: route.containerID, at: route.target)
        do {
            return try await comeHome(creation, placed, route)
        } catch {
            guard let engineClient else { throw error }
            if let engineID = aliases.engineID(of: route.containerID, at: control.node) {
                // One that the engine still has may run.
                let removed = try? await engineClient.request("DELETE", "/containers/\(engineID)?force=1")
                guard let removed, [204, 404].contains(removed.status) else { return true }
                try aliases.remove(route.containerID, at: control.node)
            }
            if routes[route.containerID] == nil {
                try routes.journal.putAsked(route.containerID, head: kept.head.raw, body: kept.body)
                try routes.put(route)
                if let left { try aliases.put(route.containerID, engineID: left, at: route.target) }
                for (name, place) in former {
                    try volumes.put(place, for: name)
                    try routes.journal.put(.init(volume: name, node: control.node))
                    try routes.journal.remove(.init(volume: name, node: route.target))
                }
            }
            throw error
        }
    }

    // MARK: And back

    /// - Throws: always, with what its user is told.
    private func goBack(
        _ route: Route, _ left: String, _ moved: Creation, _ luggage: Luggage, _ placed: Placed, because error: Stayed,
        _ leftovers: inout NodeID?
    ) async throws -> Never {
        let isHere = route.target == control.node
        do {
            if isHere {
                try await stayHere(route, moved, placed)
            } else {
                try await makeAnew(route, left, moved, luggage, placed, error.reason)
            }
            try routes.journal.remove(haltGiven(route, moved))
        } catch let second {
            recover(haltGiven(route, moved))
            let remedy =
                isHere
                ? "`docker start` it"
                : "what it wrote is there, in its volumes and in volume \(luggage.waitingRoom) or its container"
            throw Stayed(
                reason:
                    "\(error.reason); and it was not begun again at \(route.target): \(stayed(second).reason); \(remedy)"
            )
        }
        leftovers = placed.decision.target ?? route.target
        throw error
    }

    /// Makes it anew where it was, of what is there still: the gateway counts what it was as gone.
    /// - Parameter placed: what the gateway has given it; nil where that is not known.
    func makeAnew(
        _ route: Route, _ left: String, _ moved: Creation, _ luggage: Luggage, _ placed: Placed?, _ reason: String
    ) async throws {
        if let placed, let failed = routes[route.containerID], failed.target != route.target {
            try restore(route, left)
            sweep(PendingLease(placed: placed, target: failed.target, creation: moved, madeAt: now()))
        }
        let ticketing = NodeDialer.Ticketing(ticket: route.ticket, renew: nil)
        var former = NodeDialer(control: control, node: route.target, purpose: "layer", ticket: ticketing)
        former.aliases = .fixed(nil)
        let client = DockerClient(dialer: former, maximumIdle: 0)
        await control.abandon(route.workload, epoch: placed?.epoch ?? route.epoch + 1, reason: reason)
        var creation = moved
        creation.request.id = .random()
        creation.request.policy.target = route.target
        creation.request.targetReason = "it was there before a move that failed"
        creation.replaces = routes[route.containerID]
        creation.luggage = luggage
        creation.isReturn = true
        let again = try await control.place(creation.request, refused: [:])
        do {
            guard again.decision.target == route.target else { throw Stayed(reason: again.decision.reason) }
            try await makeVolume(luggage.waitingRoom, nil, at: route.target)
            // It is no copy: after a crash it must be found.
            try routes.journal.remove(.init(volume: luggage.waitingRoom, node: route.target))
            if try await keepsLayersInFolders(route.target) {
                try await Self.placeLayer(luggage.waitingRoom, into: false, client)
            } else {
                // Out of reach: so it was to move without what it wrote.
                creation.luggage = nil
            }
            let removed = try await client.request("DELETE", "/containers/\(left)")
            guard [204, 404].contains(removed.status) else { throw Stayed(reason: Self.message(of: removed)) }
            try await make(creation, again, at: route.target, route)
        } catch {
            await control.abandon(creation.request.id, epoch: again.epoch, reason: stayed(error).reason)
            throw error
        }
        try routes.journal.removeUnrestarted(route.containerID)
        try? await removeStray(.init(volume: luggage.waitingRoom, node: route.target))
        guard creation.wasRunning, let current = routes[route.containerID] else { return }
        await letAttachedFollow(route.containerID)
        try await startThere(current)
    }

    func restore(_ route: Route, _ left: String) throws {
        guard let current = routes[route.containerID], current.target != route.target else { return }
        leaveMounts(of: current)
        try aliases.put(route.containerID, engineID: left, at: route.target)
        try routes.put(route)
        try aliases.remove(route.containerID, at: current.target)
    }
}

/// What a move with state has come to.
@NodeLoop
private final class MoveState {
    var creation: FrontDoor.Creation
    var isMoving = false
    var stoppedAt: ContinuousClock.Instant?

    init(_ creation: FrontDoor.Creation) { self.creation = creation }
}

extension JSON {
    fileprivate func withImage(_ id: String) -> JSON {
        var json = self
        json.set(.string(id), named: "Image")
        return json
    }
}
