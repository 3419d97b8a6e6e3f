internal import DockerAPI
internal import Engine
internal import Fleet
internal import Glibc
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
            try LighterLabel.check(spec.labels, origin: control.node)
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
        /// Why its target, if it has one, is its target; empty where the container's label names it.
        var targetReason = ""
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
        var wish = Wish(policy: policy, source: source, own: labels, stays: stays)
        if labels.target == nil, let names = sources.first(where: { $0.1.target != nil })?.0 {
            wish.targetReason = "\(names) names it"
        }
        return wish
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
        request.policySource = wish.source
        request.targetReason = wish.targetReason
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
    private func decide(_ creation: Creation, refused: [NodeID: String]) async -> Decision {
        let end = ContinuousClock.now + Self.suspicion
        while true {
            let snapshot = freshSnapshot
            let decision = Placement.decide(
                creation.request, snapshot: snapshot, now: now(), fleetReachable: control.isConnected,
                refused: refused, estimates: estimates, memory: &thresholds, policySource: creation.policySource)
            guard isAgainstItsPolicy(decision), control.isConnected, ContinuousClock.now < end,
                snapshot.nodes.contains(where: { $0.state == .suspect })
            else { return decision }
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return decision }
        }
    }

    /// Whether the gateway may know better: it tells this device of its nodes a moment after they have changed, and who has made
    /// one take work again may ask for it at once.
    private func mayBeOutdated(_ decision: Decision) -> Bool {
        guard control.isConnected, isAgainstItsPolicy(decision) else { return false }
        return decision.target == nil || control.snapshot.nodes.contains { $0.drainedSince != nil }
    }

    /// Whether it is refused, or stays here although other nodes are asked for.
    private func isAgainstItsPolicy(_ decision: Decision) -> Bool {
        decision.target == nil || decision.target == control.node && decision.policy == .remote
    }

    /// - Parameter refusals: of nodes that turned it down a moment ago.
    func place(_ creation: Creation, refused refusals: [NodeID: String] = [:]) async -> Job.Outcome {
        var refused = refusals
        let decision = await decide(creation, refused: refused)
        // Parted from its company, it is best off here, as what is tied to this device.
        if let company = creation.request.affinity?.node, refused[company] != nil {
            return await stayAfterAll(creation, decision, refused)
        }
        let target = decision.target
        if mayBeOutdated(decision) {
            logger.debug("the gateway is asked as well", metadata: ["reason": "\(decision.reason)"])
        } else {
            guard let target else { return refusal(decision) }
            if target == control.node { return await createHere(creation, decision) }
        }
        var named = creation
        let drawn = creation.name.isEmpty ? drawName() : ""
        defer { routes.unreserve(drawn) }
        if !drawn.isEmpty { named.name = drawn }
        let creation = named
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
                guard target != nil else { return refusal(decision) }
                return await stayAfterAll(creation, decision, refused, "the fleet cannot be asked: \(error)")
            }
            guard let chosen = placed.decision.target else {
                await giveBack(last, "no other node can take it")
                return refusal(placed.decision)
            }
            if chosen == control.node {
                guard target == nil, last == nil else {
                    return await createHere(creation, placed.decision, epoch: placed.epoch)
                }
                // What this device can take it knows better than the gateway.
                await control.abandon(creation.request.id, epoch: placed.epoch, reason: decision.reason)
                return refusal(decision)
            }
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
            case .refused(let reason):
                forgetCreating(lease)
                refused[chosen] = reason
                let outcome = noOtherPlace(for: creation, than: chosen, reason)
                guard outcome != nil || creation.request.affinity != nil else { break }
                await giveBack(lease, reason)
                if let outcome { return outcome }
                return await stayAfterAll(creation, decision, refused)
            case .brokeOff(let reason):
                if redialled.insert(chosen).inserted, await clearUp(lease) { break }
                refused[chosen] = reason
            case .unreachable(let reason): refused[chosen] = reason
            }
            last = lease
        }
        await giveBack(last, "no node could take it")
        return await stayAfterAll(creation, decision, refused)
    }

    /// The device is always a candidate, unless the user named another.
    /// - Parameter cause: why no other node is asked any more; nil where those that were have refused.
    private func stayAfterAll(
        _ creation: Creation, _ decision: Decision, _ refused: [NodeID: String], _ cause: String? = nil
    ) async -> Job.Outcome {
        let reason = cause ?? refused.map { "\($0.key): \($0.value)" }.sorted().joined(separator: "; ")
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
        decision.note(refused: refused)
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

    /// A name that no container of this device has and no create holds; held until it is unreserved.
    private func drawName() -> String {
        while true {
            let name = NameDraw.draw()
            if routes.named(name) == nil, routes.reserve(name) { return name }
        }
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
