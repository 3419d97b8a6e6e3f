internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// `POST /build` by the classic builder: at another node where policy says so, and the image comes home.
extension FrontDoor {
    /// A context larger than this is built here: it is kept on disk until the build has ended.
    private static let contextLimit: Int64 = 1 << 30

    /// Seconds for which a node that does not build for others is not asked again.
    private static let refusalLifetime = 600.0

    var refusingBuilds: [NodeID: String] {
        buildRefusals.filter { $0.value.until > now() }.mapValues(\.reason)
    }

    /// A build whose context has come.
    private struct Build: Sendable {
        var head: RequestHead
        var request: BuildRequest
        var spool: Spool
        /// Bytes in the spool.
        var size: Int64 = 0
        var context: BuildContext
    }

    /// Where a build goes, and what it begins with.
    struct Errand: Sendable {
        var target: NodeID
        var lease: Placed
        var workload: WorkloadID
        /// Base images by the names that the Dockerfile gives them.
        var bases: [String: LocalImage]
        var file: Dockerfile
    }

    func planBuild(_ head: RequestHead, _ query: Query) -> Plan {
        guard engine != nil, let folder = configuration.spool else { return local(head) }
        let request = BuildRequest(head, query)
        if let session = request.session { return planKitBuild(head, request, session) }
        let policy = policy(of: request)
        if let target = policy.target, target != control.node, !request.ties.isEmpty {
            let message =
                "lighter: node \(target) cannot take the build: it uses \(request.ties.joined(separator: ", "))"
            return .answer(
                Answer(DockerFailure(status: 409, message: message).response(version: greeting.apiVersion.description)))
        }
        guard mayLeave(policy), request.ties.isEmpty else { return local(head) }
        return .receive(
            Reception { body, client in
                do {
                    let spool = try Spool(folder: folder)
                    let build = Build(
                        head: head, request: request, spool: spool,
                        context: BuildContext(dockerfile: request.dockerfile))
                    return try await self.build(build, policy, body, client)
                } catch {
                    return self.failure(500, "lighter: \(error)")
                }
            })
    }

    func policy(of request: BuildRequest) -> Policy {
        let labels = (try? PolicyOverrides(labels: request.labels)) ?? PolicyOverrides()
        return Policy(firstOf: [labels, configuration.policy, control.gatewayPolicy])
    }

    func mayLeave(_ policy: Policy) -> Bool {
        let stays = policy.kind == .local && (policy.target == nil || policy.target == control.node)
        return !stays && control.snapshot.nodes.contains { $0.id != control.node && $0.acceptsWork }
    }

    private func build(
        _ build: Build, _ policy: Policy, _ body: BodyFeed, _ client: ClientWriter
    ) async throws -> Job.Outcome {
        var build = build
        do throws(Stay) {
            try await gather(&build, body)
            guard let text = build.context.text else { throw Stay("its context has no \(build.request.dockerfile)") }
            let (file, bases) = try await bases(of: text, build.request)
            let errand = try await errand(build.request, policy, file, bases)
            let outcome = try await buildAway(build, errand, client)
            await control.abandon(errand.workload, epoch: errand.lease.epoch, reason: "the build has ended")
            return outcome
        } catch {
            logger.info("a build stays on this device", metadata: ["reason": "\(error.reason)"])
            if let refusal = error.refusal { return failure(409, "lighter: \(refusal)") }
            return try await buildHere(build, body, client)
        }
    }

    /// Why a build that might have left does not.
    struct Stay: Error {
        var reason: String
        /// What its client is told where it asked for another node.
        var refusal: String?

        init(_ reason: String, refusal: String? = nil) {
            self.reason = reason
            self.refusal = refusal
        }
    }

    /// Keeps the context, and reads what the build needs.
    private func gather(_ build: inout Build, _ body: BodyFeed) async throws(Stay) {
        do {
            while build.size <= Self.contextLimit, let piece = try await body.next() {
                try await build.spool.append(piece)
                build.size += Int64(piece.readableBytes)
                try build.context.pass(piece)
            }
        } catch {
            throw Stay("\(error)")
        }
        guard build.size <= Self.contextLimit else { throw Stay("its context is over \(Self.contextLimit) bytes") }
        guard build.context.hasEnded else { throw Stay("its context ends in the middle") }
    }

    func bases(of text: String, _ request: BuildRequest) async throws(Stay) -> (Dockerfile, [String: LocalImage]) {
        let file: Dockerfile
        do throws(Dockerfile.Doubt) {
            file = try Dockerfile(text, arguments: request.arguments, builder: request.session == nil ? .classic : .kit)
        } catch {
            throw Stay(error.description)
        }
        var bases: [String: LocalImage] = [:]
        for reference in file.references {
            guard let image = await localImage(reference) else { throw Stay("the device does not have \(reference)") }
            bases[reference] = image
        }
        return (file, bases)
    }

    func errand(
        _ build: BuildRequest, _ policy: Policy, _ file: Dockerfile, _ bases: [String: LocalImage]
    ) async throws(Stay) -> Errand {
        let base = file.references.last.flatMap { bases[$0] }
        let request = WorkloadRequest(
            id: .random(), tenant: control.tenant, origin: control.node, image: file.references.last ?? "scratch",
            imageID: base?.id ?? "", imageSize: base?.size ?? .zero,
            workKey: "build \(build.tags.first?.familiarName ?? build.dockerfile)", resources: build.resources,
            policy: policy)
        let expected = Placement.decide(
            request, snapshot: freshSnapshot, now: now(), fleetReachable: control.isConnected, refused: refusingBuilds,
            estimates: estimates, memory: &thresholds, policySource: "the build's labels or the configuration")
        guard let likely = expected.target else { throw Stay(expected.reason, refusal: expected.reason) }
        guard likely != control.node else { throw Stay(expected.reason) }
        let placed: Placed
        do {
            placed = try await control.place(request, refused: refusingBuilds)
        } catch {
            throw Stay("the fleet cannot be asked: \(error)")
        }
        guard let target = placed.decision.target else {
            throw Stay(placed.decision.reason, refusal: placed.decision.reason)
        }
        guard target != control.node else {
            await control.abandon(request.id, epoch: placed.epoch, reason: "the build stays on its device")
            throw Stay(placed.decision.reason)
        }
        return Errand(target: target, lease: placed, workload: request.id, bases: bases, file: file)
    }

    // MARK: Away

    /// - Throws: as long as the client has seen nothing of the build, and it can still happen here.
    private func buildAway(_ build: Build, _ errand: Errand, _ client: ClientWriter) async throws(Stay) -> Job.Outcome {
        do {
            let ticket = NodeDialer.Ticketing(ticket: errand.lease.ticket, renew: nil)
            let dialer = NodeDialer(control: control, node: errand.target, purpose: "build", ticket: ticket)
            let there = DockerClient(dialer: dialer, maximumIdle: 0)
            let plan = try await ContextPlan.make(build.spool, build.context.length) { digests in
                await self.missingChunks(digests, there, errand.target)
            }
            if let refusal = refusingBuilds[errand.target] { throw Stay(refusal) }
            for image in errand.bases.values { try await ship(image, to: errand.target).wait() }
            let ids = errand.bases.mapValues { imageNames.id(of: $0.id, at: errand.target) }
            let (dockerfile, ending) = try build.context.ending(dockerfile: errand.file.pinned(ids))
            let query = build.request.away(dockerfile: dockerfile)
            let body = plan.body(ending: ending)
            let answer = try await there.stream(
                "POST", versioned(query.target("/build"), build.head, at: errand.target),
                headers: plan.headers, body: body)
            guard answer.status == 200 else {
                let said = try await answer.collect()
                // Its guard's or its engine's refusal of what an engine here may well do.
                throw Stay("node \(errand.target) does not build it: \(Self.message(of: said))")
            }
            return await relay(answer, build, errand, plan.fresh, client)
        } catch let stay as Stay {
            await control.abandon(errand.workload, epoch: errand.lease.epoch, reason: "the build stays on its device")
            throw stay
        } catch {
            await control.abandon(errand.workload, epoch: errand.lease.epoch, reason: "\(error)")
            throw Stay("node \(errand.target) cannot build it: \(error)")
        }
    }

    /// Nil where the node keeps none, or does not build at all.
    private func missingChunks(
        _ digests: [LayerDigest], _ client: DockerClient, _ node: NodeID
    ) async -> Set<LayerDigest>? {
        let question: JSON = ["Chunks": .array(digests.map { .string("\($0)") })]
        guard let answer = try? await client.request("POST", "/lighter/chunks", body: question.buffer) else {
            return nil
        }
        if answer.status == 403 { noteRefusal(answer, by: node) }
        guard answer.status == 200, let missing = try? answer.json()["Missing"]?.arrayValue
        else { return nil }
        return Set(missing.compactMap { $0.stringValue.flatMap { LayerDigest($0) } })
    }

    /// A node that does not build for others is not asked again for a while.
    func noteRefusal(_ answer: DockerResponse, by node: NodeID) {
        buildRefusals[node] = (Self.message(of: answer), now() + Self.refusalLifetime)
    }

    /// Passes the build's progress on as it comes; a client that hangs up ends the build there.
    private func relay(
        _ answer: DockerStream, _ build: Build, _ errand: Errand, _ fresh: Int64, _ client: ClientWriter
    ) async -> Job.Outcome {
        client.begin(greeting.chunked())
        let gone = client.gone
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.finish(answer, build, errand, fresh, client) }
            group.addTask {
                for await _ in gone {}
                answer.cancel()
            }
            await group.next()
            group.cancelAll()
        }
        client.end()
        return .streamed
    }

    private func finish(
        _ answer: DockerStream, _ build: Build, _ errand: Errand, _ fresh: Int64, _ client: ClientWriter
    ) async {
        do {
            var log = BuildLog(isQuiet: build.request.isQuiet)
            // What names the image, which may have another id here.
            var ending = ByteBuffer()
            for try await text in Lines(answer.body) {
                var line = text
                line.writeString("\n")
                log.take(line)
                if log.tellsOfImage {
                    ending.writeImmutableBuffer(line)
                    continue
                }
                if ending.readableBytes > 0 { try await client.write(ending) }
                ending = ByteBuffer()
                try await client.write(named(line, errand))
            }
            if log.hasFailed { return try await client.write(ending) }
            guard let made = log.image else { throw FrontDoorError(.unreachable, "it did not say which image it made") }
            let id = try await bring(made, from: errand.target)
            let told = String(buffer: ending)
            try await client.write(
                ByteBuffer(string: told.replacing(made.hex, with: id.hex).replacing(made.short, with: id.short)))
            estimates.note(image: "\(id)", at: errand.target)
            for name in build.request.tags {
                try await tag(id, name)
                if build.request.isQuiet { continue }
                let line: JSON = ["stream": .string("Successfully tagged \(name.familiar)\n")]
                try await client.write(ByteBuffer(string: line.text + "\r\n"))
            }
            logger.info(
                "image built away",
                metadata: [
                    "image": "\(id)", "node": "\(errand.target)", "context": "\(build.context.length)",
                    "new": "\(fresh)",
                ])
        } catch {
            let said = "lighter: the build on node \(errand.target) did not come to this device: \(error)"
            let line: JSON = ["errorDetail": ["message": .string(said)], "error": .string(said)]
            try? await client.write(ByteBuffer(string: line.text + "\r\n"))
        }
    }

    /// Progress with the bases as their author called them: the builder there shows the ids that it was given.
    private func named(_ chunk: ByteBuffer, _ errand: Errand) -> ByteBuffer {
        let text = String(buffer: chunk)
        guard text.contains(" : FROM sha256:") else { return chunk }
        var named = text
        for (name, image) in errand.bases.sorted(by: { $0.key < $1.key }) {
            let id = imageNames.id(of: image.id, at: errand.target)
            named = named.replacing(" : FROM \(id)", with: " : FROM \(name)")
        }
        return ByteBuffer(string: named)
    }

    // MARK: Here

    /// What has been kept, and then what is still to come, as the client sent it.
    private func buildHere(_ build: Build, _ feed: BodyFeed, _ client: ClientWriter) async throws -> Job.Outcome {
        guard let engineClient else { return failure(501, "lighter: this device has no engine of its own for that") }
        let (spool, size) = (build.spool, build.size)
        let body = RequestBody.producing { write in
            var offset: Int64 = 0
            while let piece = try await spool.piece(at: offset, to: size) {
                offset += Int64(piece.readableBytes)
                try await write(piece)
            }
            while let piece = try await feed.next() { try await write(piece) }
        }
        let kept = ["Content-Type", "X-Registry-Config", "Content-Encoding"]
        let headers = kept.compactMap { name in build.head.headers.first(name).map { (name, $0) } }
        let answer = try await engineClient.stream("POST", build.head.target, headers: headers, body: body)
        guard answer.status == 200 else { return .answer(Answer(try await answer.collect().bytes)) }
        client.begin(greeting.chunked())
        let gone = client.gone
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    for try await chunk in answer.body { try await client.write(chunk) }
                } catch {
                    let line: JSON = ["errorDetail": ["message": .string("\(error)")], "error": .string("\(error)")]
                    try? await client.write(ByteBuffer(string: line.text + "\r\n"))
                }
            }
            group.addTask {
                for await _ in gone {}
                answer.cancel()
            }
            await group.next()
            group.cancelAll()
        }
        client.end()
        return .streamed
    }
}
