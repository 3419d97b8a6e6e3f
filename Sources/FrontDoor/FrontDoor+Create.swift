internal import DockerAPI
internal import Engine
internal import Fleet
internal import Glibc
internal import Link
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// `POST /containers/create`: where shall it run?
extension FrontDoor {
    /// Seconds after which a ticket is renewed: well within the day for which the gateway signs it.
    static let ticketRenewal = 12.0 * 3600

    /// A create that is being worked on.
    struct Creation: Sendable {
        var head: RequestHead
        var query: Query
        /// Empty until a node other than this is asked: an engine here draws a name itself.
        var name: String
        var wasNamed: Bool
        var body: ByteBuffer
        var spec: CreateRequest
        var request: WorkloadRequest
        var policySource: String
        var image: LocalImage?
        /// The image where only another node has it.
        var awayImage: AwayImage?
        var mounts: [MirroredMount]
        var sharing: SharingPlan
        var loss = LossPolicy()
        /// The container that this one is in the place of, because its node is lost.
        var replaces: Route?
        /// It is moved: its node is not lost.
        var isMove = false
        /// Why it is moved.
        var cause = MoveCause.user
        /// Of one that is moved.
        var wasRunning = false
        /// What goes along with one that is moved.
        var luggage: Luggage?
        /// What the engine here calls one that leaves this device.
        var leftHere: String?
        /// It could not be moved, and is begun again where it was.
        var isReturn = false
    }

    func create(_ head: RequestHead, _ name: String, _ query: Query, _ body: ByteBuffer) async -> Job.Outcome {
        let spec: CreateRequest
        do {
            spec = try CreateRequest(body)
        } catch {
            // What is wrong with it is said best by the engine itself.
            guard let engine else { return failure(error.status, error.message) }
            return .forward(sendingLocally(head, body, engine))
        }
        if let engine, spec.image.isEmpty || !Self.isJSON(head) { return .forward(sendingLocally(head, body, engine)) }
        let name = name.hasPrefix("/") ? String(name.dropFirst()) : name
        do {
            let wish = try wish(of: spec)
            try await waitForTravellers(spec.namedVolumes)
            let sharing = await sharingPlan(for: spec, stays: wish.stays)
            // Only those that have no place yet could settle in two.
            guard sharing.isUnsettled else {
                return await create(try await describe(head, name, query, body, spec, wish, sharing))
            }
            let keys = sharing.keys.sorted()
            for key in keys { await routes.hold(key) }
            defer { for key in keys { routes.unreserve(key) } }
            let settled = await sharingPlan(for: spec, stays: wish.stays)
            return await create(try await describe(head, name, query, body, spec, wish, settled))
        } catch let error as DockerFailure {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        } catch {
            return failure(400, "lighter: \(error)")
        }
    }

    private func create(_ described: Creation) async -> Job.Outcome {
        var creation = described
        let name = creation.name
        // Held before it is looked up: otherwise two creates could both find it free.
        await routes.hold(name)
        defer { routes.unreserve(name) }
        if let conflict = await conflict(over: name) { return conflict }
        if let lease = leases.take(for: creation, at: now()) {
            creation.name = lease.name
            return await createAway(creation, lease)
        }
        return await place(creation)
    }

    private static func isJSON(_ head: RequestHead) -> Bool {
        head.headers.first("Content-Type")?.lowercased().hasPrefix("application/json") ?? false
    }

    /// What its user asks for of a container's place.
    struct Wish: Sendable {
        var policy: Policy
        /// Who said so.
        var source: String
        /// What the container's own labels say.
        var own: PolicyOverrides
        /// Whether it stays on the device, unless it needs what is elsewhere.
        var stays: Bool
    }

    func wish(of spec: CreateRequest) throws(FleetError) -> Wish {
        let labels = try PolicyOverrides(labels: spec.labels.map { ($0.key, $0.value) })
        let sources: [(String, PolicyOverrides)] = [
            ("the container's labels", labels), ("the device's configuration", configuration.policy),
            ("the gateway's configuration", control.gatewayPolicy),
        ]
        let policy = Policy(firstOf: sources.map(\.1))
        let source = sources.first { $0.1.kind != nil || $0.1.target != nil }?.0 ?? "the default"
        let stays = policy.kind == .local && (policy.target == nil || policy.target == control.node)
        return Wish(policy: policy, source: source, own: labels, stays: stays)
    }

    /// Gathers what placement needs to know.
    /// - Throws: `DockerFailure` when what it uses is in several places.
    func describe(
        _ head: RequestHead, _ name: String, _ query: Query, _ body: ByteBuffer, _ spec: CreateRequest, _ wish: Wish,
        _ sharing: SharingPlan
    ) async throws(DockerFailure) -> Creation {
        let stays = wish.stays && !sharing.drawsAway(from: control.node)
        // Ports are taken out of what the target's engine sees, so it would not say so.
        if spec.host.networkMode.hasPrefix("container:"), spec.publishesPorts, sharing.drawsAway(from: control.node) {
            throw DockerFailure(
                status: 400, message: "conflicting options: port publishing and the container type network mode")
        }
        let image = stays ? nil : try await knownImage(spec.image)
        if let image { estimates.note(image: image.id, at: control.node) }
        let away = image == nil && !images.isEmpty ? images.find(spec.image) : nil
        let mounts = stays ? MountPlan() : await MountPlan.make(for: spec, configuration.mounts)
        var request = WorkloadRequest(
            id: .random(), tenant: control.tenant, origin: control.node, name: name, image: spec.image,
            imageID: image?.id ?? away.map { "\($0.id)" } ?? "", imageSize: image?.size ?? away?.size ?? .zero,
            workKey: spec.workKey,
            platform: query.first("platform") ?? "", resources: spec.resources, policy: wish.policy,
            ties: sharing.ties(mounts.ties(of: spec)))
        request.mountSize = mounts.size
        if !mounts.mirrored.isEmpty, let book = self.mounts {
            request.mirroredAt = book.holders(of: mounts.mirrored, among: control.snapshot.nodes.lazy.map(\.id))
        }
        try sharing.draw(&request, wish.own)
        return Creation(
            head: head, query: query, name: name, wasNamed: !name.isEmpty, body: body, spec: spec, request: request,
            policySource: wish.source, image: image, awayImage: away, mounts: mounts.mirrored, sharing: sharing,
            loss: try lossPolicy(of: spec))
    }

    /// The fleet, with this device as it is now rather than as the gateway saw it last.
    var freshSnapshot: FleetSnapshot {
        var snapshot = control.snapshot
        var own = describeNode()
        if let index = snapshot.nodes.firstIndex(where: { $0.id == own.id }) {
            own.reserved = snapshot.nodes[index].reserved
            snapshot.nodes[index] = own
        } else {
            snapshot.nodes.append(own)
        }
        return snapshot
    }

    /// For how long at most a node is waited for whose heartbeat is late: it is back, or lost, within a few of them.
    private static let suspicion = Duration.seconds(5)

    /// Nothing is refused, or kept here against its policy, because of a node that is merely late.
    private func decide(_ creation: Creation) async -> Decision {
        let end = ContinuousClock.now + Self.suspicion
        while true {
            let snapshot = freshSnapshot
            let decision = Placement.decide(
                creation.request, snapshot: snapshot, now: now(), fleetReachable: control.isConnected,
                refused: [:], estimates: estimates, memory: &thresholds, policySource: creation.policySource)
            let isStay = decision.target == control.node && creation.request.policy.kind == .remote
            guard decision.target == nil || isStay, control.isConnected, ContinuousClock.now < end,
                snapshot.nodes.contains(where: { $0.state == .suspect })
            else { return decision }
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return decision }
        }
    }

    func place(_ creation: Creation) async -> Job.Outcome {
        var refused: [NodeID: String] = [:]
        let decision = await decide(creation)
        guard let target = decision.target else { return refusal(decision) }
        if target == control.node { return await createHere(creation, decision) }
        var creation = creation
        let drawn = creation.name.isEmpty ? drawName() : ""
        defer { routes.unreserve(drawn) }
        if !drawn.isEmpty { creation.name = drawn }
        var last: PendingLease?
        var redialled: Set<NodeID> = []
        // A node may refuse what it has no room for; each gets one chance, and another where its link ended in the middle.
        for round in 0..<4 {
            async let ahead = sendAhead(creation, to: round == 0 ? target : nil)
            let placed: Placed
            do {
                placed = try await control.place(creation.request, refused: refused)
            } catch {
                await giveBack(last, "the fleet could not be asked again")
                return await stayAfterAll(creation, decision, because: "the fleet cannot be asked: \(error)")
            }
            guard let chosen = placed.decision.target else {
                await giveBack(last, "no other node can take it")
                return refusal(placed.decision)
            }
            if chosen == control.node { return await createHere(creation, placed.decision, epoch: placed.epoch) }
            let lease = PendingLease(placed: placed, target: chosen, creation: creation, madeAt: now())
            var early: Result<DockerResponse, any Error>?
            if round == 0, chosen == target {
                deliver(lease)
                early = await ahead
            }
            switch await attempt(creation, lease, early) {
            case .done(let outcome):
                forgetCreating(lease)
                return outcome
            // The next placement takes the lease away from this node; one that was given back could not be placed again.
            case .noRoom(let reason):
                forgetCreating(lease)
                refused[chosen] = reason
            case .brokeOff(let reason):
                if redialled.insert(chosen).inserted, await clearUp(lease) { break }
                refused[chosen] = reason
            case .unreachable(let reason): refused[chosen] = reason
            }
            last = lease
        }
        await giveBack(last, "no node could take it")
        let reasons = refused.map { "\($0.key): \($0.value)" }.sorted().joined(separator: "; ")
        return await stayAfterAll(creation, decision, because: reasons)
    }

    /// The device is always a candidate, unless the user named another.
    private func stayAfterAll(_ creation: Creation, _ decision: Decision, because reason: String) async -> Job.Outcome {
        if let target = creation.request.policy.target, target != control.node {
            return failure(503, "lighter: node \(target) cannot take the container: \(reason)")
        }
        guard engine != nil else { return failure(503, "lighter: no node can take the container: \(reason)") }
        // To the gateway this is other work: what it was asked about has been given back.
        var creation = creation
        creation.request.id = .random()
        var decision = decision
        decision.workload = creation.request.id
        decision.target = control.node
        decision.reason = "no other node could take it: \(reason)"
        decision.warnings.append("lighter: runs on this device: \(reason)")
        return await createHere(creation, decision)
    }

    private func refusal(_ decision: Decision) -> Job.Outcome {
        let reasons = decision.candidates.filter { !$0.refusals.isEmpty }
            .map { "\($0.node): \($0.refusals.joined(separator: ", "))" }.filter { !decision.reason.contains($0) }
        let list = reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))"
        return failure(409, "lighter: \(decision.reason)\(list)")
    }

    // MARK: Here

    /// - Parameter epoch: of the lease, where the gateway gave one.
    private func createHere(_ creation: Creation, _ decision: Decision, epoch: UInt64 = 0) async -> Job.Outcome {
        guard let engineClient else { return refusal(decision) }
        let body = withOwnSocket(creation.spec, creation.body)
        var answer: DockerResponse
        do {
            answer = try await engineClient.request(
                "POST", creation.head.target, headers: creation.passedHeaders, body: body)
            if answer.status == 404, let away = creation.awayImage ?? images.find(creation.spec.image) {
                try await settle(away)
                answer = try await engineClient.request(
                    "POST", creation.head.target, headers: creation.passedHeaders, body: body)
            }
        } catch {
            if epoch > 0 { await control.abandon(creation.request.id, epoch: epoch, reason: "\(error)") }
            let more = decision.warnings.isEmpty ? "" : "; \(decision.reason)"
            return failure(503, "lighter: \(error)\(more)")
        }
        guard answer.status == 201, var json = try? JSON.parse(answer.body), let id = json["Id"]?.stringValue else {
            if epoch > 0 {
                await control.abandon(creation.request.id, epoch: epoch, reason: "create answered \(answer.status)")
            }
            return .answer(Answer(answer.bytes))
        }
        var workload = Workload(
            id: creation.request.id, tenant: creation.request.tenant, origin: control.node, target: control.node,
            state: .created, version: Version(epoch: max(1, epoch), sequence: 0), containerID: id,
            name: creation.wasNamed ? creation.name : "",
            image: creation.spec.image, resources: creation.request.resources, createdAt: now(),
            workKey: creation.request.workKey)
        workload.decision = decision
        createdHere[id] = workload.createdAt
        settleHere(creation.spec.namedVolumes)
        preload(creation.image)
        localWorkload(id, workload)
        do {
            try routes.journal.putLocal(id, workload)
            try routes.journal.putAsked(id, head: creation.head.raw, body: creation.body)
        } catch {
            logger.error("the journal did not take a container of this device", metadata: ["error": "\(error)"])
        }
        let warnings = decision.warnings + creation.sharing.warnings(at: control.node)
        guard !warnings.isEmpty else { return .answer(Answer(answer.bytes)) }
        json["Warnings"] = Self.adding(warnings, to: json["Warnings"])
        return .answer(Answer(answer.replacing(body: json.buffer).bytes))
    }

    private func sendingLocally(_ head: RequestHead, _ body: ByteBuffer, _ engine: EngineDialer) -> Forward {
        let length = "\(body.readableBytes)"
        let sized = (try? head.removing("Transfer-Encoding").withHeader("Content-Length", length)) ?? head
        return Forward(dialer: engine, reuseKey: engine.reuseKey, head: sized.raw, body: body)
    }

    static func adding(_ warnings: [String], to existing: JSON?) -> JSON {
        .array((existing?.arrayValue ?? []) + warnings.map { .string($0) })
    }

    // MARK: Away

    enum Attempt {
        case done(Job.Outcome)
        case noRoom(String)
        case unreachable(String)
        /// The link, or the stream, ended before an answer came: as where the other end has made a newer link meanwhile.
        case brokeOff(String)
    }

    /// A create that follows a pull: the lease is there already.
    private func createAway(_ creation: Creation, _ lease: PendingLease) async -> Job.Outcome {
        switch await attempt(creation, lease) {
        case .done(let outcome):
            forgetCreating(lease)
            return outcome
        case .noRoom(let reason), .unreachable(let reason), .brokeOff(let reason):
            await control.abandon(lease.workload, epoch: lease.epoch, reason: reason)
            return await place(creation)
        }
    }

    /// Sends the create to the likeliest target in the same flight as the question to the gateway: it waits there for the
    /// ticket. Nil where no link stands; one that turns out to be for the wrong node is hung up on, and nothing was made.
    private func sendAhead(_ creation: Creation, to node: NodeID?) async -> Result<DockerResponse, any Error>? {
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
    private func deliver(_ lease: PendingLease) {
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

    /// A name that no container of this device has and no create holds; held until it is unreserved.
    private func drawName() -> String {
        while true {
            let name = NameDraw.draw()
            if routes.named(name) == nil, routes.reserve(name) { return name }
        }
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
        let files = creation.mounts.filter(\.isFile).map(\.source)
        if !files.isEmpty {
            json.update(named: "Labels") {
                $0[CreateRequest.filesLabel] = .string(JSON.array(files.map { .string($0) }).text)
            }
        }
        json.update(named: "Labels") { $0[Presentation.imageLabel] = .string(creation.spec.image) }
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
        case "engine":
            // It may have gone in the middle of the create.
            sweep(lease)
            return .unreachable(Self.message(of: answer))
        default: break
        }
        guard answer.status == 201, var json = try? JSON.parse(answer.body), let id = json["Id"]?.stringValue else {
            await control.abandon(lease.workload, epoch: lease.epoch, reason: "create answered \(answer.status)")
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
        route.volumes = creation.sharing.volumes + more
        route.anonymousVolumes = more.filter(VolumeName.isAnonymous)
        route.labels = creation.spec.labels
        route.command = (creation.spec.entrypoint + creation.spec.command).joined(separator: " ")
        route.publishesAll = creation.spec.host.publishAllPorts
        route.loss = creation.loss
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

    static func isMissingImage(_ answer: DockerResponse) -> Bool {
        message(of: answer).lowercased().contains("no such image")
    }

    static func message(of answer: DockerResponse) -> String {
        (try? JSON.parse(answer.body))?["message"]?.stringValue ?? String(buffer: answer.body)
    }
}

extension FrontDoor {
    /// Seconds since 1970.
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension FrontDoor.Creation {
    /// Whether its container may get volumes that its body does not name.
    var mayBringVolumes: Bool { spec.bringsVolumes || image?.declaresVolumes ?? true }

    /// Headers that an engine heeds and that travel with the body's copy.
    var passedHeaders: [(String, String)] {
        let kept = ["X-Registry-Auth", "X-Registry-Config", "X-Meta-Source"]
        return [("Content-Type", "application/json")]
            + kept.compactMap { name in
                head.headers.first(name).map { (name, $0) }
            }
    }
}
