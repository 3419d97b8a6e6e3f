internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// A container is made at another node.
extension FrontDoor {
    enum Attempt {
        case done(Job.Outcome)
        case noRoom(String)
        /// The node's owner does not admit such containers; others may.
        case refused(String)
        case unreachable(String)
        /// The link, or the stream, ended before an answer came: as where the other end has made a newer link meanwhile.
        case brokeOff(String)
    }

    /// A create that follows a pull: the lease is there already.
    func createAway(_ creation: Creation, _ lease: PendingLease) async -> Job.Outcome {
        switch await attempt(creation, lease) {
        case .done(let outcome):
            forgetCreating(lease)
            return outcome
        case .refused(let reason):
            forgetCreating(lease)
            await control.abandon(lease.workload, epoch: lease.epoch, reason: reason)
            if let outcome = noOtherPlace(for: creation, than: lease.target, reason) { return outcome }
            return await place(creation, refused: [lease.target: reason])
        case .noRoom(let reason), .unreachable(let reason), .brokeOff(let reason):
            await control.abandon(lease.workload, epoch: lease.epoch, reason: reason)
            return await place(creation)
        }
    }

    /// The refusal, where the container's user or what it needs names the node that refused it.
    func noOtherPlace(for creation: Creation, than node: NodeID, _ reason: String) -> Job.Outcome? {
        let needs = creation.sharing.needs.map(\.node)
        guard creation.request.policy.target == node || needs.contains(node) else { return nil }
        return failure(403, "lighter: \(reason)")
    }

    /// Sends the create to the likeliest target in the same flight as the question to the gateway: it waits there for the
    /// ticket. Nil where no link stands; one that turns out to be for the wrong node is hung up on, and nothing was made.
    func sendAhead(_ creation: Creation, to node: NodeID?) async -> Result<DockerResponse, any Error>? {
        guard let node, control.existingLink(to: node) != nil, passedOver(creation, at: node) == nil else { return nil }
        var dialer = nodeDialer(node, purpose: "create")
        dialer.awaits = creation.request.id
        do {
            return .success(try await sendCreate(creation, to: node, dialer))
        } catch {
            return .failure(error)
        }
    }

    /// The gateway sends the target its ticket; should that be lost, the create that waits there has it from here.
    func deliver(_ lease: PendingLease) {
        guard let link = control.existingLink(to: lease.target) else { return }
        link.openDockerStream(ticket: lease.ticket, purpose: "ticket") { $0.eventLoop.makeSucceededVoidFuture() }
            .whenSuccess { $0.close(promise: nil) }
    }

    /// - Parameter early: what became of a create that was sent ahead: one whose answer was lost is not sent again, as it may
    ///   have happened.
    func attempt(
        _ creation: Creation, _ lease: PendingLease, _ early: Result<DockerResponse, any Error>? = nil
    ) async -> Attempt {
        if let reason = passedOver(creation, at: lease.target) { return .noRoom(reason) }
        do {
            let answer = if let early { try early.get() } else { try await sendCreate(creation, lease) }
            if answer.status == 404, Self.isMissingImage(answer) {
                return await provide(creation, lease, missing: answer)
            }
            return try await conclude(answer, creation, lease)
        } catch {
            sweep(lease)
            return (error as? EngineError)?.code == .closed ? .brokeOff("\(error)") : .unreachable("\(error)")
        }
    }

    private func passedOver(_ creation: Creation, at node: NodeID) -> String? {
        newestAPI(at: node).passesOver(creation.spec.json).map { "its engine is too old for \($0)" }
    }

    func giveBack(_ lease: PendingLease?, _ reason: String) async {
        guard let lease else { return }
        await control.abandon(lease.workload, epoch: lease.epoch, reason: reason)
    }

    func sendCreate(_ creation: Creation, _ lease: PendingLease) async throws -> DockerResponse {
        try await sendCreate(creation, to: lease.target, dialer(to: lease, purpose: "create"))
    }

    private func sendCreate(
        _ creation: Creation, to node: NodeID, _ dialer: NodeDialer
    ) async throws -> DockerResponse {
        noteCreating(creation.request.id, at: node)
        var query = creation.query
        query.set("name", creation.name)
        let target = versioned(query.target("/containers/create"), creation.head, at: node)
        var json = creation.spec.json
        json = splitNetworks(try await share(creation.sharing, at: node, in: json, for: creation), at: node).json
        if let image = creation.image {
            json.set(.string(imageNames.id(of: image.id, at: node)), named: "Image")
        } else if let away = creation.awayImage {
            json.set(.string("\(away.id)"), named: "Image")
        }
        // The device listens in the container's place.
        if creation.spec.publishesPorts { json = json.withoutPublishedPorts() }
        // Those are Lighter's to give.
        json.update(named: "Labels") { labels in
            let own = (labels.objectValue?.members ?? []).filter { !$0.key.hasPrefix("io.lighter.") }
            labels = .object(JSONObject(own))
        }
        let files = creation.mounts.filter(\.isFile).map(\.source)
        if !files.isEmpty {
            json.update(named: "Labels") {
                $0[CreateRequest.filesLabel] = .string(JSON.array(files.map { .string($0) }).text)
            }
        }
        json.update(named: "Labels") { labels in
            labels[Presentation.imageLabel] = .string(creation.spec.image)
            if let former = creation.replaces { labels[Presentation.containerLabel] = .string(former.containerID) }
        }
        if creation.loss.isExclusive {
            json.update(named: "Labels") { $0[CreateRequest.exclusiveLabel] = "true" }
        }
        if let shownID = creation.replaces?.containerID { json = json.withHostname(ofID: shownID) }
        let client = DockerClient(dialer: dialer, maximumIdle: 0)
        let body = json.buffer
        let create: @Sendable @NodeLoop () async throws -> DockerResponse = {
            try await client.request("POST", target, headers: creation.passedHeaders, body: body)
        }
        guard creation.loss.isExclusive else { return try await create() }
        return try await withThrowingTaskGroup(of: DockerResponse?.self) { group in
            group.addTask { try await create() }
            group.addTask { await self.tellAgain(creation.request.id) }
            defer { group.cancelAll() }
            while let answer = try await group.next() { if let answer { return answer } }
            throw CancellationError()
        }
    }

    /// A node takes exclusive work only once the gateway has told it of the lease; one that has just come to the fleet may have
    /// been told too early. With each ticket the gateway tells it again.
    private func tellAgain(_ workload: WorkloadID) async -> DockerResponse? {
        // One that held nothing exclusive lately renews its lease first, which takes a few round trips.
        var pause = Duration.milliseconds(200)
        while true {
            do { try await Task.sleep(for: pause) } catch { return nil }
            _ = try? await control.ticket(for: workload)
            pause = .milliseconds(700)
        }
    }

    func dialer(to lease: PendingLease, purpose: String) -> NodeDialer {
        NodeDialer(
            control: control, node: lease.target, purpose: purpose,
            ticket: NodeDialer.Ticketing(ticket: lease.ticket, renew: nil))
    }

    func conclude(
        _ answer: DockerResponse, _ creation: Creation, _ lease: PendingLease
    ) async throws -> Attempt {
        switch answer.headers.first("X-Lighter-Refused") {
        case "capacity": return .noRoom(Self.message(of: answer))
        case "policy" where answer.status == 403:
            let text = presentation.message(Self.message(of: answer))
            return .refused(text.hasPrefix("lighter: ") ? String(text.dropFirst("lighter: ".count)) : text)
        case "engine":
            // It may have gone in the middle of the create.
            sweep(lease)
            return .unreachable(Self.message(of: answer))
        default: break
        }
        guard answer.status == 201, var json = try? JSON.parse(answer.body), let id = json["Id"]?.stringValue else {
            // Of work that is begun again the lease stays: it may be placed again, and what is given up counts as removed.
            if creation.replaces == nil || creation.isMove {
                await control.abandon(lease.workload, epoch: lease.epoch, reason: "create answered \(answer.status)")
            }
            let text = presentation.message(Self.message(of: answer))
            return .done(failure(answer.status < 400 ? 502 : answer.status, text))
        }
        do { try await joinOthers(id, creation, lease) } catch {
            sweep(lease)
            await giveBack(lease, "it could not join its networks")
            let failed = error as? DockerFailure
            return .done(failure(failed?.status ?? 503, failed?.message ?? "lighter: \(error)"))
        }
        if let lost = creation.replaces { return try await conclude(lost, engineID: id, creation, lease) }
        let route = await route(toNew: id, creation, lease)
        let isNewTarget = routes.routes(to: lease.target).isEmpty
        do {
            try routes.journal.putAsked(id, head: creation.head.raw, body: creation.body)
            try routes.put(route)
        } catch {
            // A container that this device would forget at its next start is better not made.
            logger.error("a container was not kept", metadata: ["id": "\(id)", "error": "\(error)"])
            sweep(lease)
            await giveBack(lease, "the origin could not record it")
            return .done(failure(500, "lighter: the container cannot be recorded on this device: \(error)"))
        }
        await settle(route.volumes, at: lease.target)
        touch(route)
        if route.loss.isExclusive { grantLeases(to: route.target) }
        fresh.insert(id)
        lastStates[id] = "created"
        runs[id] = (creation.request.workKey, 0)
        if let image = creation.image?.id ?? creation.awayImage.map({ "\($0.id)" }) {
            estimates.note(image: image, at: lease.target)
        }
        if plainNetworks.isEmpty { start { await self.learnPlainNetworks() } }
        if isNewTarget { for watcher in targetWatchers.values { watcher(lease.target) } }
        let warnings = lease.warnings + creation.sharing.warnings(at: lease.target)
        guard !warnings.isEmpty else { return .done(.answer(Answer(answer.bytes))) }
        json["Warnings"] = Self.adding(warnings, to: json["Warnings"])
        return .done(.answer(Answer(answer.replacing(body: json.buffer).bytes)))
    }

    private func route(toNew id: String, _ creation: Creation, _ lease: PendingLease) async -> Route {
        var route = Route(
            containerID: id, name: creation.name, workload: lease.workload, epoch: lease.epoch, target: lease.target,
            ticket: lease.ticket, ticketRenewal: now() + Self.ticketRenewal, image: creation.spec.image,
            imageID: creation.image?.id ?? creation.awayImage.map { "\($0.id)" } ?? "", hasTerminal: creation.spec.tty,
            removesItself: creation.spec.host.autoRemove, createdAt: now())
        route.ports = creation.spec.host.publishedPorts.map(PublishedPort.init)
        route.mounts = creation.mounts
        route.asked = creation.spec.limitsOfOtherNodes
        route.networks = creation.sharing.networks.map(\.id)
        let more = await volumes(of: id, creation, dialer(to: lease, purpose: "inspect"))
        route.setVolumes(named: creation.sharing.volumes, others: more)
        route.labels = creation.spec.labels
        route.command = (creation.spec.entrypoint + creation.spec.command).joined(separator: " ")
        route.publishesAll = creation.spec.host.publishAllPorts
        route.loss = creation.loss
        return route
    }

    static func isMissingImage(_ answer: DockerResponse) -> Bool {
        message(of: answer).lowercased().contains("no such image")
    }

    static func message(of answer: DockerResponse) -> String {
        (try? JSON.parse(answer.body))?["message"]?.stringValue ?? String(buffer: answer.body)
    }
}
