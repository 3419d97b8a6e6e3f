internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Why a container is moved; as its users read it behind where it was moved from.
enum MoveCause: String, Sendable {
    case user = "by its user"
    case drain = "as that is drained"
    case homecoming = "back to the node that it was lost with"
}

/// A container that runs elsewhere goes to another node because its user says so.
extension FrontDoor {
    /// `POST /lighter/move` with `{"Container": REFERENCE, "Node": NAME}`; answered with `{"Id", "Name", "From", "To"}` once it
    /// runs there, if it ran. It is stopped in between; its image is there before. Where its start there is not `Answered`, it is
    /// tried on.
    ///
    /// With `"State": true` what it wrote goes along; then `Stopped` says for how many nanoseconds it did not run (null where it did
    /// not anyway, or that is not known yet), and `Bytes` what travelled `Ahead` and as the `Last` difference.
    func moveContainer(_ body: ByteBuffer) async -> Job.Outcome {
        await answering {
            guard let asked = try? JSON.parse(body), let reference = asked["Container"]?.stringValue,
                let name = asked["Node"]?.stringValue
            else { throw DockerFailure(status: 400, message: "lighter: the body must have Container and Node") }
            let goesWhole = asked["State"]?.boolValue == true
            let route = try await movable(reference, goesWhole)
            guard let node = control.snapshot.nodes.first(where: { $0.id.name == name })?.id else {
                throw DockerFailure(status: 404, message: "lighter: the fleet has no node '\(name)'")
            }
            guard node != route.target else {
                throw DockerFailure(status: 409, message: "lighter: \(route.name) is at \(node) already")
            }
            var told: JSON = [
                "Id": .string(route.containerID), "Name": .string(route.name), "From": .string(route.target.name),
                "To": .string(node.name),
            ]
            do {
                if goesWhole {
                    let journey = try await moveWithState(route, to: node, cause: .user)
                    told["Answered"] = .bool(journey.isAnswered)
                    told["Stopped"] = journey.stopped.map { .int(Int64($0 / .nanoseconds(1))) } ?? .null
                    told["Bytes"] = ["Ahead": .int(journey.ahead), "Last": .int(journey.last)]
                } else {
                    told["Answered"] = .bool(try await moveBare(route, to: node))
                }
            } catch let error as Stayed {
                throw DockerFailure(
                    status: 409, message: "lighter: \(route.name) stays at \(route.target): \(error.reason)")
            }
            return DockerResponse(json: told)
        }
    }

    private func moveBare(_ route: Route, to node: NodeID) async throws -> Bool {
        guard carrying[route.containerID] == nil, moving.insert(route.containerID).inserted else {
            throw Stayed(reason: "it is being given another node just now")
        }
        defer { endMoving(route) }
        return try await move(route, to: node, cause: .user)
    }

    private func movable(_ reference: String, _ goesWhole: Bool) async throws(DockerFailure) -> Route {
        switch routes.resolve(reference) {
        case .exact(let route), .prefix(let route): return route
        case .ambiguous:
            throw DockerFailure(status: 400, message: "lighter: several containers' ids begin with \(reference)")
        case .none:
            guard let container = await inspectLocal(reference) else {
                throw DockerFailure(status: 404, message: "lighter: there is no container \(reference)")
            }
            guard goesWhole else {
                throw DockerFailure(
                    status: 409,
                    message:
                        "lighter: \(reference) runs on this device's own engine, and moves with --with-state only: else run "
                        + "it anew with --label lighter.target=NODE")
            }
            guard let route = routeHere(container) else {
                throw DockerFailure(
                    status: 409,
                    message: "lighter: \(reference) was not made by way of Lighter, or by an older one: run it anew")
            }
            return route
        }
    }

    /// - Returns: whether its start was answered, if it ran.
    @discardableResult
    func move(_ route: Route, to node: NodeID, cause: MoveCause) async throws -> Bool {
        var creation = try await creationOfMove(route, to: node, cause: cause)
        creation.wasRunning = ["running", "restarting"].contains(lastStates[route.containerID])
        guard !creation.wasRunning || !route.removesItself else {
            throw Stayed(reason: "it removes itself when it is stopped (--rm)")
        }
        try await check(creation, mayGoTo: node)
        let left = aliases.engineID(of: route.containerID, at: route.target) ?? route.containerID
        var given: Placed?
        var isAnswered = true
        do {
            try await forbidRestarts(of: route)
            if creation.wasRunning { try routes.journal.put(halt(route, .stopped)) }
            try await stop(route, creation)
            try routes.journal.put(haltGiven(route, creation))
            let placed = try await place(carried: creation, route)
            given = placed
            if node == control.node {
                isAnswered = try await arriveHere(creation, placed, route)
            } else if let reason = try await begin(creation, placed, at: node, route) {
                throw Stayed(reason: reason)
            } else if creation.wasRunning, let current = routes[route.containerID] {
                isAnswered = try await startAnew(current)
            }
        } catch {
            await undo(route, left, creation, given, because: error)
            throw stayed(error)
        }
        if isAnswered { try? routes.journal.removeHalt(of: route.containerID) }
        await clear(left, of: route)
        try? routes.journal.removeUnrestarted(route.containerID)
        logger.notice(
            "a container was moved",
            metadata: ["container": "\(route.name)", "from": "\(route.target)", "to": "\(node)"])
        return isAnswered
    }

    func creationOfMove(
        _ route: Route, to node: NodeID, cause: MoveCause, carrying luggage: Luggage? = nil
    ) async throws -> Creation {
        var creation = try await creation(route, try createRequest(of: route), chosen: node, carrying: luggage)
        creation.isMove = true
        creation.cause = cause
        creation.request.targetReason = cause.reason(from: route.target)
        return creation
    }

    /// Whatever would be refused is better refused before the container is stopped, and its image there before.
    func check(_ creation: Creation, mayGoTo node: NodeID) async throws {
        let decision = Placement.decide(
            creation.request, snapshot: freshSnapshot, now: now(), fleetReachable: control.isConnected, refused: [:],
            estimates: estimates, memory: &thresholds, policySource: "its user")
        guard decision.target == node else {
            let reasons = decision.candidates.first { $0.node == node }?.refusals.joined(separator: ", ") ?? ""
            throw Stayed(reason: reasons.isEmpty ? decision.reason : "\(node): \(reasons)")
        }
        guard node != control.node, let image = creation.image else { return }
        try await ship(image, to: node).wait()
    }

    func stop(_ route: Route, _ creation: Creation) async throws {
        guard creation.wasRunning else { return }
        let client = DockerClient(dialer: dialer(to: route, purpose: "stop"), maximumIdle: 0)
        let answer = try await client.request("POST", "/containers/\(route.containerID)/stop")
        guard [204, 304].contains(answer.status) else { throw Stayed(reason: Self.message(of: answer)) }
        await containerEnded(route, exitCode: nil)
        ports.close(route.containerID)
    }

    /// It is where it was; what the gateway has given away is made anew there, since its node removes what it was.
    /// - Parameters:
    ///   - left: what its engine there calls it.
    ///   - given: what the gateway has given it; nil for nothing, or where that is not known.
    private func undo(
        _ route: Route, _ left: String, _ creation: Creation, _ given: Placed?, because error: any Error
    ) async {
        if let given, let failed = routes[route.containerID], failed.epoch == given.epoch {
            // It was made there, and does not start.
            do { try restore(route, left) } catch {
                logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
            }
            sweep(PendingLease(placed: given, target: failed.target, creation: creation, madeAt: now()))
        }
        guard routes[route.containerID]?.epoch == route.epoch else {
            try? routes.journal.removeHalt(of: route.containerID)
            return
        }
        guard given != nil || error is Undecided else { return await startWhereItWas(route, creation) }
        let halt = haltGiven(route, creation)
        do {
            guard given != nil else { throw stayed(error) }
            try await makeAgain(route, wasRunning: creation.wasRunning, because: stayed(error).reason)
            try routes.journal.remove(halt)
        } catch {
            logger.warning(
                "a container that could not be moved is made anew when its node and the gateway can be asked",
                metadata: ["container": "\(route.name)", "reason": "\(stayed(error).reason)"])
            recover(halt)
        }
    }

    func asked(_ request: WorkloadRequest, _ epoch: UInt64) async -> Result<Placed, SessionError> {
        do {
            return .success(try await control.replace(request, epoch: epoch, isMove: true, refused: [:]))
        } catch {
            return .failure(error)
        }
    }

    /// Removes what is left of it where it was.
    func clear(_ engineID: String, of former: Route) async {
        let ticket = NodeDialer.Ticketing(ticket: former.ticket, renew: nil)
        let dialer = NodeDialer(control: control, node: former.target, purpose: "remove", ticket: ticket)
        let client = DockerClient(dialer: dialer, maximumIdle: 0)
        let answer = try? await client.request("DELETE", "/containers/\(engineID)?force=1&v=1")
        guard answer.map({ $0.status >= 300 }) ?? true else { return }
        logger.notice(
            "what a container left where it was is removed with that node's next report",
            metadata: ["container": "\(former.name)", "node": "\(former.target)"])
    }
}
