internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Calls on one container at another node, and which of them those are.
extension FrontDoor {
    func planContainer(_ head: RequestHead, _ reference: String, _ action: String, _ query: Query) -> Plan {
        switch routes.resolve(reference) {
        case .none where action == "rename": .handle(Job { _, _ in await self.renameLocal(head, query) })
        case .none
        where action == "wait" && query.first("condition") == "removed" && reference.utf8.count == 64
            && greeting.forgetsExitCodes:
            .handle(Job { _, client in await self.waitHere(head, reference, client) })
        case .none: stay(head, reference, action, query)
        case .exact(let route): remote(head, route, action, query)
        case .prefix(let route): planPrefix(head, reference, route, action, query)
        case .ambiguous: .ask { [self] in await isNamedHere(reference) ? local(head) : ambiguous(reference) }
        }
    }

    private func ambiguous(_ reference: String) -> Plan {
        .answer(
            Answer(
                DockerFailure(status: 400, message: "Multiple IDs found with provided prefix: \(reference)")
                    .response(version: greeting.apiVersion.description)))
    }

    /// A prefix that fits one remote container may fit a local one, or be a local one's name: the engine here knows.
    private func planPrefix(
        _ head: RequestHead, _ reference: String, _ route: Route, _ action: String, _ query: Query
    ) -> Plan {
        guard engineClient != nil else { return remote(head, route, action, query) }
        return .ask { [self] in
            switch await lookUpLocal(reference) {
            case .none: remote(head, route, action, query)
            case .named: local(head)
            case .prefix, .ambiguous: ambiguous(reference)
            }
        }
    }

    // MARK: Remote containers

    private func remote(_ head: RequestHead, _ route: Route, _ action: String, _ query: Query) -> Plan {
        guard !["GET", "HEAD"].contains(head.method), action != "wait" else {
            return remoteNow(head, route, action, query)
        }
        // Its engine would refuse what may be done to one that has ended.
        if let view = views[route.target], view.isAwaited(route.containerID) {
            return .ask { [self] in
                await view.told(route.containerID)
                return planContainer(head, route.containerID, action, query)
            }
        }
        guard moving.contains(route.containerID) else { return remoteNow(head, route, action, query) }
        return .ask { [self] in
            await settled(route.containerID)
            guard moving.contains(route.containerID) else {
                return planContainer(head, route.containerID, action, query)
            }
            guard carrying[route.containerID] == nil else {
                return .handle(Job { _, _ in self.onItsWay(route.name) })
            }
            return remoteNow(head, route, action, query)
        }
    }

    private func remoteNow(_ head: RequestHead, _ route: Route, _ action: String, _ query: Query) -> Plan {
        if !["GET", "HEAD"].contains(head.method) { touch(route) }
        if ["stop", "kill"].contains(action), head.method == "POST" { forgetHalt(of: route.containerID) }
        switch (head.method, action) {
        case ("GET", "json"): return .handle(Job { _, _ in await self.inspect(head, route, query) })
        case ("GET", "stats") where query.first("stream") != nil && !query.flag("stream"):
            return .handle(Job { _, _ in await self.measure(head, route, query) })
        case ("POST", "rename"): return .handle(Job { _, _ in await self.rename(head, route, query) })
        case ("POST", "wait"):
            return .handle(Job { _, client in await self.wait(head, route, query, client) })
        case ("POST", "resize") where !moving.contains(route.containerID): windows[route.containerID] = query
        case ("POST", "start"), ("POST", "restart"):
            if isGivenAway(route.containerID) { return .handle(Job { _, _ in self.onItsWay(route.name) }) }
            fresh.remove(route.containerID)
            unseen.remove(route.containerID)
            guard route.wantsPreparing else { break }
            return .handle(Job { _, _ in await self.startPrepared(head, route, action, query) })
        case ("POST", "stop"), ("DELETE", ""):
            let takesVolumes = action.isEmpty && query.flag("v") && !route.anonymousVolumes.isEmpty
            guard !route.mounts.isEmpty || takesVolumes else { break }
            return .handle(Job { _, _ in await self.endMounted(head, route, action, query) })
        case ("POST", "exec"):
            return .handle(Job { body, _ in await self.createExec(head, route, body) })
        case (_, "checkpoints"):
            return .handle(Job { body, _ in await self.refuseCheckpoint(head, route, body) })
        default: break
        }
        let path = "/containers/\(route.containerID)\(action.isEmpty ? "" : "/")\(action)"
        var forward = forwarding(head, route, query.target(path), purpose: action.isEmpty ? "remove" : action)
        switch (head.method, action) {
        case ("GET", "stats"): forward.rewrite = presentation.rewriting(presentation.stats)
        case ("POST", "attach"): forward.early = earlyAttach(head, route, query)
        default: break
        }
        forward.answered = { [weak self] status in
            NodeLoop.assumeIsolated { self?.answered(status, to: head.method, action, on: route) }
        }
        forward.succession = succession(head, route, action, query)
        // The end of an output is often the container's: whoever asks next must hear of it, however late the event.
        if ["logs", "attach", "attach/ws"].contains(action) { forward.ended = touching(route) }
        return .forward(forward)
    }

    /// The same request, addressed to the target's engine.
    func forwarding(_ head: RequestHead, _ route: Route, _ path: String, purpose: String) -> Forward {
        var forward = Forward(
            dialer: dialer(to: route, purpose: purpose),
            head: retargeted(head, versioned(path, head, at: route.target)))
        forward.reword = presentation.rewriting(presentation.refusal)
        return forward
    }

    /// The head with another target; what cannot be (a path that is no path) goes as it is, for the engine to refuse.
    private func retargeted(_ head: RequestHead, _ target: String) -> ByteBuffer {
        ((try? head.withTarget(target)) ?? head).raw
    }

    func dialer(to route: Route, purpose: String) -> NodeDialer {
        var ticketing = NodeDialer.Ticketing(ticket: route.ticket, renew: nil)
        if now() > route.ticketRenewal {
            ticketing.renew = { [self] in try await renewTicket(route) }
        }
        var dialer = NodeDialer(control: control, node: route.target, purpose: purpose, ticket: ticketing)
        dialer.aliases = .fixed(aliases.table(at: route.target))
        // A route of before its container came home leads to the engine here.
        if routes[route.containerID] == nil, aliases.engineID(of: route.containerID, at: control.node) != nil {
            dialer.here = engine
        }
        return dialer
    }

    /// A fresh ticket, or the old one as long as the gateway is away: it may still be valid.
    private func renewTicket(_ route: Route) async throws -> [UInt8] {
        guard let ticket = try? await control.ticket(for: route.workload) else { return route.ticket }
        guard var current = routes[route.containerID] else { return ticket }
        current.ticket = ticket
        current.ticketRenewal = now() + Self.ticketRenewal
        keep(current)
        return ticket
    }

    /// Takes a change of a route in. What a full disk does not take is known until a restart, and then learned again.
    func keep(_ route: Route) {
        do {
            try routes.change(route)
        } catch {
            logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
        }
    }

    /// Prefixes the API version that the client chose, but no newer one than the target's engine speaks.
    func versioned(_ path: String, _ head: RequestHead, at node: NodeID) -> String {
        guard let asked = head.apiVersion.flatMap(APIVersion.init) else { return path }
        let newest = control.snapshot[node].flatMap { APIVersion($0.engineAPIVersion) }
        return "/v\(newest.map { min($0, asked) } ?? asked)\(path)"
    }

    func answered(_ status: Int, to method: String, _ action: String, on route: Route) {
        if !["GET", "HEAD"].contains(method) { touch(route) }
        switch (method, action, status) {
        case ("DELETE", "", 204): drop(route)
        case (_, "archive", _): break
        case ("POST", "update", 200):
            // What was not asked for at first may have been now.
            guard var current = routes[route.containerID], current.asked["PidsLimit"] != nil else { break }
            current.asked["PidsLimit"] = nil
            keep(current)
        case ("POST", "stop", 204), ("POST", "stop", 304): ports.close(route.containerID)
        case (_, _, 404): start { await self.verify(route) }
        default: break
        }
    }

    /// Forgets a route whose container the target does not have any more; true when it was forgotten.
    @discardableResult
    func verify(_ route: Route) async -> Bool {
        let client = DockerClient(dialer: dialer(to: route, purpose: "verify"), maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/containers/\(route.containerID)/json"),
            answer.status == 404
        else { return false }
        // A node that lost it removes it as soon as it is back, which may be before it is made elsewhere.
        guard !moving.contains(route.containerID), routes[route.containerID].map({ $0.epoch == route.epoch }) ?? true
        else { return false }
        if let current = routes[route.containerID], hasRun(current) {
            await containerEnded(current, exitCode: nil)
            guard routes[route.containerID]?.epoch == route.epoch, !moving.contains(route.containerID) else {
                return routes[route.containerID] == nil
            }
        }
        drop(route)
        return true
    }

    func drop(_ route: Route) {
        ports.close(route.containerID)
        lastStates[route.containerID] = nil
        views[route.target]?.forget(route.containerID)
        // One that was removed while it ran is brought home by its end, which came before.
        if ended[route.containerID] == nil { leaveMounts(of: route) }
        fresh.remove(route.containerID)
        runs[route.containerID] = nil
        if !moving.contains(route.containerID) { forgetFollowers(route.containerID) }
        moveRests[route.containerID] = nil
        do {
            try routes.remove(route.containerID)
            try execs.forget(containerID: route.containerID)
            try routes.journal.removeAsked(route.containerID)
            try aliases.remove(route.containerID, at: route.target)
        } catch {
            logger.error("the journal did not take a removal", metadata: ["error": "\(error)"])
        }
        verifyVolumes(of: route)
    }

    private func inspect(_ head: RequestHead, _ route: Route, _ query: Query) async -> Job.Outcome {
        let path = versioned(query.target("/containers/\(route.containerID)/json"), head, at: route.target)
        if !query.flag("size"), let known = inspected(route, versioned("", head, at: route.target)) {
            return await answering { DockerResponse(json: .null).replacing(body: inspected(known, route).buffer) }
        }
        return await answering(route) { client in
            let answer = try await client.request("GET", path)
            guard answer.status == 200, let container = try? JSON.parse(answer.body) else { return answer }
            return answer.replacing(body: self.inspected(container, route).buffer)
        }
    }

    /// One document of statistics; a stream of them is rewritten as it passes.
    private func measure(_ head: RequestHead, _ route: Route, _ query: Query) async -> Job.Outcome {
        let path = versioned(query.target("/containers/\(route.containerID)/stats"), head, at: route.target)
        return await answering(route) { client in
            let answer = try await client.request("GET", path)
            guard answer.status == 200, let document = try? JSON.parse(answer.body) else { return answer }
            return answer.replacing(body: self.presentation.stats(document).buffer)
        }
    }

    /// Runs one call against a route's target and answers with what it gives.
    func answering(
        _ route: Route, _ call: (DockerClient) async throws -> DockerResponse
    ) async -> Job.Outcome {
        let client = DockerClient(dialer: dialer(to: route, purpose: "call"), maximumIdle: 0)
        do {
            let answer = try await call(client)
            if answer.status == 404 { start { await self.verify(route) } }
            return .answer(Answer(presented(answer).bytes))
        } catch let error as DockerFailure {
            if error.status == 404 { start { await self.verify(route) } }
            return failure(error.status, error.message)
        } catch {
            return unreachable(route, error)
        }
    }

    /// An answer of a target's, in the user's words where it refuses.
    func presented(_ answer: DockerResponse) -> DockerResponse {
        guard answer.status >= 400 else { return answer }
        var answer = answer
        answer.body = presentation.rewriting(presentation.refusal)(answer.body)
        return answer
    }

    /// Passes a call without a body on; with the status that the node gave, 0 where it could not be asked.
    func passing(_ head: RequestHead, _ route: Route, _ path: String) async -> (status: Int, outcome: Job.Outcome) {
        let target = versioned(path, head, at: route.target)
        var status = 0
        let outcome = await answering(route) { client in
            let answer = try await client.request(head.method, target)
            status = answer.status
            return answer
        }
        return (status, outcome)
    }

    func unreachable(_ route: Route, _ error: any Error) -> Job.Outcome {
        let opinion = control.snapshot[route.target]?.opinion.map { "; \($0.text)" } ?? ""
        return failure(
            503, "lighter: node \(route.target), where this container runs, cannot be reached: \(error)\(opinion)")
    }

    /// The engine here says whether there are checkpoints at all, before it looks for the container.
    private func refuseCheckpoint(_ head: RequestHead, _ route: Route, _ body: ByteBuffer) async -> Job.Outcome {
        if engine != nil, let answer = try? await locally(head, body), answer.status >= 400, answer.status != 404 {
            return .answer(Answer(answer.bytes))
        }
        return failure(
            501,
            "lighter: container \(route.name) runs on node \(route.target), and checkpoints do not leave their node; "
                + "create it with the label lighter.policy=local")
    }

    func touching(_ route: Route) -> @Sendable () -> Void {
        { [weak self] in NodeLoop.assumeIsolated { self?.touch(route) } }
    }

    // MARK: Early answers

    /// `attach` to a container that has just been created cannot fail, so its 101 need not cross the link first.
    private func earlyAttach(_ head: RequestHead, _ route: Route, _ query: Query) -> EarlyAnswer? {
        guard fresh.contains(route.containerID), head.upgrade == "tcp", query.flag("stream") else { return nil }
        let asked = head.apiVersion.flatMap(APIVersion.init) ?? .multiplexedStreams
        let multiplexed =
            !route.hasTerminal && asked >= .multiplexedStreams
            && newestAPI(at: route.target) >= .multiplexedStreams
        return .upgraded(head: greeting.upgraded(multiplexed: multiplexed))
    }

    func newestAPI(at node: NodeID) -> APIVersion {
        control.snapshot[node].flatMap { APIVersion($0.engineAPIVersion) } ?? .oldest
    }
}
