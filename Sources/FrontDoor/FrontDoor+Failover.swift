internal import DockerAPI
internal import Engine
internal import Fleet
internal import Leases
internal import Link
internal import Logging
internal import NIOCore
internal import Session

/// Work of a node that is lost is begun again elsewhere, under the id and the name that its users know.
///
/// The gateway says when nothing of it can run at the lost node any more, and gives it another in a newer epoch. What this
/// device granted the node itself has to run out as well.
extension FrontDoor {
    /// Seconds before it is tried again to move what could not be.
    private static let moveRest = 5.0

    /// Looks for lost nodes until cancelled.
    func followLosses() async {
        for node in routes.targets where !exclusiveRoutes(to: node).isEmpty { grantLeases(to: node) }
        while !Task.isCancelled {
            var isConcerned = false
            for route in routes.all where route.loss.isExclusive {
                isConcerned = true
                guard isLost(route), moving.insert(route.containerID).inserted else { continue }
                start { await self.move(route) }
            }
            for (node, given) in grants where given.isGivenUp && control.snapshot[node]?.state == .ready {
                if !routes.routes(to: node).contains(where: { moving.contains($0.containerID) }) { given.takeBack() }
            }
            do { try await Task.sleep(for: .milliseconds(isConcerned ? 50 : 1000)) } catch { return }
        }
    }

    /// Whether a container has to be begun elsewhere, as far as is known here.
    private func isLost(_ route: Route) -> Bool {
        guard !moving.contains(route.containerID), isUnreachable(route.target), mayBegin(route) else { return false }
        if let rest = moveRests[route.containerID], now() < rest { return false }
        switch lastStates[route.containerID] {
        case "exited", "dead", "removing": return false
        default: return true
        }
    }

    private func isUnreachable(_ node: NodeID) -> Bool {
        guard control.isConnected, control.snapshot[node]?.state == .unreachable else { return false }
        // The gateway does not hear it, but this device may.
        return !(grants[node]?.wasHeard(within: control.leaseTerm) ?? false)
    }

    private func mayBegin(_ route: Route) -> Bool {
        route.loss.kind == .restart || route.attempts < route.loss.attempts
    }

    private func move(_ lost: Route) async {
        defer { endMoving(lost) }
        grantLeases(to: lost.target)
        let grants = grants[lost.target]
        grants?.giveUp()
        logger.warning(
            "a node is lost; its container is begun elsewhere when its lease has run out",
            metadata: ["container": "\(lost.name)", "node": "\(lost.target)", "policy": "\(lost.loss.kind.rawValue)"])
        do {
            try await waitForOwnGrants(grants)
            // Whatever still comes from there is of an epoch that is over. A node that is back has a new link, which others use.
            if control.snapshot[lost.target]?.state == .unreachable {
                control.existingLink(to: lost.target)?.close(nil)
            }
            try await replace(lost)
        } catch let error as Stayed {
            if error.isBack { grants?.takeBack() }
            moveRests[lost.containerID] = now() + Self.moveRest
            say("waits for node \(lost.target): \(error.reason)", of: lost)
        } catch {
            moveRests[lost.containerID] = now() + Self.moveRest
            say("waits for node \(lost.target): \(error)", of: lost)
        }
    }

    /// What this device granted counts as what the gateway did.
    private func waitForOwnGrants(_ grants: NodeGrants?) async throws {
        let term = control.leaseTerm
        let margin = NodeGrants.nanoseconds(LeaseTerms(heartbeat: term / 2.5).margin)
        while let left = grants?.lease.remaining(at: NodeGrants.now, margin: margin), left > 0 {
            try await Task.sleep(for: .nanoseconds(Int64(left)))
        }
    }

    /// A container has been given another node, or was not.
    func endMoving(_ route: Route) {
        moving.remove(route.containerID)
        if routes[route.containerID] == nil { forgetFollowers(route.containerID) }
        catchUp(with: route)
    }

    /// What is done to a container while it is given another node waits for that.
    func settled(_ containerID: String) async {
        let end = ContinuousClock.now + .seconds(30)
        while moving.contains(containerID), ContinuousClock.now < end {
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
        }
    }

    /// Why a container stays with the node that it has.
    struct Stayed: Error {
        var reason: String
        var isBack = false
        var isGone = false
    }

    private func replace(_ lost: Route) async throws {
        let asked = try createRequest(of: lost)
        let keys = await sharingPlan(for: asked.spec, stays: false).keys.sorted()
        for key in keys { await routes.hold(key) }
        defer { for key in keys { routes.unreserve(key) } }
        let creation = try await creation(lost, asked)
        var refused: [NodeID: String] = [lost.target: "lost"]
        var delay = ReconnectDelay(first: .milliseconds(500), longest: .seconds(30))
        while true {
            let placed = try await place(creation, lost, refused)
            guard let target = placed.decision.target else {
                say("waits for a node: \(placed.decision.reason)", of: lost)
                try await Task.sleep(for: delay.next())
                refused = [lost.target: "lost"]
                continue
            }
            if target == control.node {
                try await comeHome(creation, placed, lost)
                return
            }
            let reason = try await begin(creation, placed, at: target, lost)
            guard let reason else { return }
            refused[target] = reason
        }
    }

    /// How a container was asked for.
    struct Asked {
        var head: RequestHead
        var body: ByteBuffer
        var spec: CreateRequest
    }

    func createRequest(of route: Route) throws -> Asked {
        guard let kept = try routes.journal.asked(of: route.containerID) else {
            throw Stayed(reason: "what it was created with is not known any more")
        }
        return Asked(head: try RequestHead(raw: kept.head), body: kept.body, spec: try CreateRequest(kept.body))
    }

    /// What was asked for once, as a create of now.
    /// - Parameters:
    ///   - chosen: the node that its user chose; nil for any.
    ///   - carrying: what of it goes along, and so does not keep it where it is.
    func creation(
        _ lost: Route, _ asked: Asked, chosen: NodeID? = nil, carrying: Luggage? = nil
    ) async throws -> Creation {
        let (_, _, query) = DockerPath.parse(method: asked.head.method, target: asked.head.target)
        var wish = try wish(of: asked.spec)
        var sharing = await sharingPlan(for: asked.spec, stays: false, leaving: carrying?.names ?? [])
        let returns = chosen == lost.target
        if !returns, let need = sharing.needs.first(where: { $0.node == lost.target }) {
            let mayCarry = chosen != nil && carrying == nil
            let isVolume = asked.spec.namedVolumes.contains { SharingPlan.volumeIsThere($0) == need.reason }
            throw Stayed(reason: need.reason + (mayCarry && isVolume ? ": with `--with-state` it goes along" : ""))
        }
        if let chosen {
            wish.policy.target = chosen
            wish.targetReason = "a move names it"
            if chosen != control.node { wish.stays = false }
            sharing.company = nil
        }
        if !returns, wish.policy.target == lost.target { throw Stayed(reason: "its policy names no other node") }
        var creation = try await describe(asked.head, lost.name, query, asked.body, asked.spec, wish, sharing)
        creation.name = lost.name
        creation.query.set("name", lost.name)
        creation.request.id = lost.workload
        creation.request.name = lost.name
        creation.loss = lost.loss
        creation.replaces = lost
        creation.luggage = carrying
        if creation.awayImage?.node == lost.target { creation.awayImage = nil }
        return creation
    }

    /// Asks the gateway for another node until it says which, or that there is none, or that the container stays.
    private func place(
        _ creation: Creation, _ lost: Route, _ refused: [NodeID: String]
    ) async throws -> Placed {
        var delay = ReconnectDelay(longest: .seconds(2))
        while true {
            do {
                let placed = try await control.replace(
                    creation.request, epoch: lost.epoch, isMove: false, refused: refused)
                guard let wait = placed.wait else { return placed }
                try await Task.sleep(for: wait)
            } catch let error as SessionError where error.code == .conflict {
                // A lease of which no container came may be placed again: this device asked for it itself.
                if let placed = try? await control.place(creation.request, refused: refused) { return placed }
                throw Stayed(reason: error.message, isBack: true)
            } catch let error as SessionError where error.code == .unavailable || error.code == .timedOut {
                logger.debug("the gateway was not asked", metadata: ["error": "\(error)"])
                try await Task.sleep(for: delay.next())
            }
        }
    }

    /// - Returns: why the node did not take it; nil when the container is there.
    func begin(
        _ creation: Creation, _ placed: Placed, at target: NodeID, _ lost: Route
    ) async throws -> String? {
        let lease = PendingLease(placed: placed, target: target, creation: creation, madeAt: now())
        if creation.image == nil {
            await pullAgain(creation, with: DockerClient(dialer: nodeDialer(target, purpose: "pull"), maximumIdle: 0))
        }
        switch await attempt(creation, lease) {
        case .noRoom(let reason), .refused(let reason), .unreachable(let reason), .brokeOff(let reason):
            return reason
        case .done(let outcome):
            forgetCreating(lease)
            guard let route = routes[lost.containerID], route.epoch == placed.epoch else {
                return "its create was refused\(outcome.refusal.map { ": \($0)" } ?? "")"
            }
            if !creation.isMove { await run(route) }
            return nil
        }
    }

    /// Has an engine pull the image that its container was made of, where a registry has it.
    func pullAgain(_ creation: Creation, with client: DockerClient) async {
        var query = Query()
        query.set("fromImage", creation.spec.image)
        if ImageReference(creation.spec.image)?.tag == nil { query.set("tag", "latest") }
        _ = try? await client.request("POST", query.target("/images/create"), headers: creation.passedHeaders)
    }

    /// The container was made elsewhere: from here on it is there.
    func conclude(
        _ lost: Route, engineID: String, _ creation: Creation, _ lease: PendingLease
    ) async throws -> Attempt {
        let id = lost.containerID
        // What goes along keeps its name.
        let isAnew = creation.luggage == nil
        let more = isAnew ? await volumes(of: engineID, creation, dialer(to: lease, purpose: "inspect")) : []
        guard var route = routes[id] ?? (lost.target == control.node ? lost : nil) else {
            // It was removed meanwhile.
            sweep(lease)
            await giveBack(lease, "its user removed it")
            return .done(failure(404, "No such container: \(lost.name)"))
        }
        do {
            if let luggage = creation.luggage { try await unpack(luggage, lease, engineID: engineID) }
        } catch  where creation.isReturn {
            // What it wrote may be in both places: neither is removed.
            return .done(failure(500, "\(stayed(error).reason)"))
        }
        lives.note(id, workload: lost.workload, engineID: aliases.engineID(of: id, at: lost.target))
        lives.note(id, workload: lease.workload, engineID: engineID)
        route.workload = lease.workload
        route.target = lease.target
        route.epoch = lease.epoch
        route.ticket = lease.ticket
        route.ticketRenewal = now() + Self.ticketRenewal
        route.imageID = creation.image?.id ?? creation.awayImage.map { "\($0.id)" } ?? route.imageID
        route.networks = creation.sharing.networks.map(\.id)
        route.mounts = creation.mounts
        if isAnew { route.setVolumes(named: creation.sharing.volumes, others: more) }
        if creation.isReturn {
            route.note = "begun again at \(lease.target), as it could not be moved"
        } else if creation.isMove {
            route.note = "moved from \(lost.target) \(creation.cause.rawValue)"
            if creation.cause == .user || route.original == lease.target { route.original = nil }
        } else {
            route.attempts += 1
            if route.loss.returns == .keepOriginal { route.original = route.original ?? lost.target }
            if route.original == lease.target { route.original = nil }
            route.note = "begun again at \(lease.target) (attempt \(route.attempts)): node \(lost.target) was lost"
        }
        let isNewTarget = routes.routes(to: lease.target).isEmpty
        leaveMounts(of: lost)
        do {
            try aliases.put(id, engineID: engineID, at: lease.target)
            if !creation.isMove { try noteUnstarted(id, epoch: lease.epoch) }
            try routes.put(route)
            if lost.target != lease.target { try aliases.remove(id, at: lost.target) }
            try execs.forget(containerID: id)
        } catch {
            sweep(lease)
            await giveBack(lease, "the origin could not record it")
            throw error
        }
        views[lost.target]?.forget(id)
        ended.forget(id)
        exitCodes.forget(id)
        lastStates[id] = "created"
        unseen.remove(id)
        touch(route)
        grantLeases(to: route.target)
        if isNewTarget { for watcher in targetWatchers.values { watcher(lease.target) } }
        logger.notice(
            "a container was begun elsewhere",
            metadata: [
                "container": "\(route.name)", "from": "\(lost.target)", "to": "\(route.target)",
                "epoch": "\(route.epoch)",
            ])
        if isAnew {
            await settle(route.volumes, at: lease.target)
            forgetVolumes(goneWith: lost)
        }
        return .done(.streamed)
    }

    /// Keeps what a container's users should know of it.
    func say(_ note: String, of route: Route) {
        guard var current = routes[route.containerID], current.note != note else { return }
        logger.warning("a container of a lost node", metadata: ["container": "\(route.name)", "state": "\(note)"])
        current.note = note
        keep(current)
    }
}

extension Job.Outcome {
    /// What an answer that is an error says.
    var refusal: String? {
        guard case .answer(let answer) = self else { return nil }
        return String(buffer: answer.bytes).split(separator: "\r\n\r\n", maxSplits: 1).last.map(String.init)
    }
}
