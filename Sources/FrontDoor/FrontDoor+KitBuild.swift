internal import BuildKit
internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Placement
internal import Session

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#endif

/// Who hears how a build by BuildKit goes.
@NodeLoop
protocol KitAudience: AnyObject, Sendable {
    /// From now on the build does not come back to this device.
    func begin()
    /// - Parameter status: one of BuildKit's messages about steps and their output.
    func progress(_ status: ByteBuffer) async throws
}

/// How a build by BuildKit ended at another node.
enum KitResult: Sendable {
    /// The image is here and has its names; nil where the result went to the client as files.
    case made(LayerDigest?)
    /// With the lines of the Dockerfile that it is about, where those are known.
    case failed(String, KitSource? = nil)
}

/// Builds by BuildKit at another node: the client's session follows the build, the image comes home.
///
/// Whatever form a client asks in, the other node is asked in that of `POST /build`, every parameter of which its guard can
/// judge.
extension FrontDoor {
    /// The folder of an engine's names in which a build finds its bases; of a domain that nobody can have.
    private static let baseName = "lighter.invalid/base"

    // MARK: What clients ask

    /// `POST /session`: who gets it is known when its build comes.
    func planSession(_ head: RequestHead) -> Plan {
        guard let id = head.headers.first("X-Docker-Expose-Session-Uuid"), head.upgrade == "h2c", buildsMayLeave else {
            return local(head)
        }
        return .ask { [self] in
            guard await sessions.arrive(id) else { return local(head) }
            return .adopt(
                Adoption(head: Self.switching) { [sessions] channel in
                    let client = HTTP2Peer(.client, channel)
                    sessions.adopt(id, KitSession(client, head))
                    return client
                })
        }
    }

    /// `POST /grpc`: passed on call by call, as one of them may be a build that leaves.
    func planControl(_ head: RequestHead) -> Plan {
        guard let engine, head.upgrade == "h2c", buildsMayLeave else { return local(head) }
        return .ask { [self] in
            var back: HTTP2Peer?
            do {
                try await HTTP2Peer.dial(engine, head, as: .client) { back = $0 }
            } catch {
                // The engine itself says best what is wrong.
                return local(head)
            }
            guard let back else { return local(head) }
            return .adopt(
                Adoption(head: Self.switching) { [self] channel in
                    let front = HTTP2Peer(.server, channel)
                    KitDesk(self, front, back).open()
                    return front
                })
        }
    }

    private nonisolated static var switching: ByteBuffer {
        ByteBuffer(string: "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    }

    /// Whether the device's own policy lets builds leave: sessions come before anything that a build says.
    private var buildsMayLeave: Bool {
        engine != nil && mayLeave(Policy(firstOf: [configuration.policy, control.gatewayPolicy]))
    }

    /// `POST /build?version=2`, as clients of before buildx ask.
    func planKitBuild(_ head: RequestHead, _ request: BuildRequest, _ session: String) -> Plan {
        let policy = policy(of: request)
        var ties = request.ties
        if !buildsMayLeave { ties.append("a session that the engine of a device with policy local has") }
        guard mayLeave(policy), ties.isEmpty else {
            return .ask { [self, ties] in
                await keep(session)
                guard !ties.isEmpty, let target = policy.target, target != control.node else { return local(head) }
                let refusal = DockerFailure(status: 409, message: Self.tied(ties, target))
                return .answer(Answer(refusal.response(version: greeting.apiVersion.description)))
            }
        }
        return .handle(
            Job { [self] body, client in
                let audience = KitLines(client, greeting.chunked())
                let (cancelled, cancel) = AsyncStream<Never>.makeStream()
                let id = request.cancelID
                if let id { cancellations[id] = cancel }
                defer { if let id { cancellations[id] = nil } }
                switch await buildByKit(request, head, policy, audience, ends: [client.gone, cancelled]) {
                case .failure(let stay):
                    if let refusal = stay.refusal { return failure(409, "lighter: \(refusal)") }
                    guard let engine else { return failure(501, "lighter: this device has no engine of its own") }
                    return .forward(Forward(dialer: engine, reuseKey: engine.reuseKey, head: head.raw, body: body))
                case .success(let result):
                    await audience.end(result)
                    return .streamed
                }
            })
    }

    /// `POST /build/cancel`, by which clients of before buildx take back a build.
    func planBuildCancel(_ head: RequestHead, _ query: Query) -> Plan {
        guard let id = query.first("id"), let cancel = cancellations[id] else { return local(head) }
        cancel.finish()
        return .answer(Answer(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
    }

    /// A build stays here, and so does its session.
    func keep(_ session: String) async {
        guard let engine else { return }
        do {
            try await sessions.release(session, to: engine)
        } catch {
            logger.warning("a session did not reach the engine here", metadata: ["error": "\(error)"])
        }
    }

    static func tied(_ ties: [String], _ target: NodeID) -> String {
        "lighter: node \(target) cannot take the build: it uses \(ties.joined(separator: ", "))"
    }

    // MARK: Away

    /// What another node says of a build, and how it was asked to pack that.
    private struct Answering: Sendable {
        let stream: DockerStream
        let offer: TraceOffer?
    }

    /// Builds at another node, until one of `ends` does.
    ///
    /// - Returns: why it stays here, as long as nobody has heard of it; the session is the engine's here then.
    func buildByKit(
        _ request: BuildRequest, _ head: RequestHead, _ policy: Policy, _ audience: any KitAudience,
        ends: [AsyncStream<Never>]
    ) async -> Result<KitResult, Stay> {
        let id = request.session ?? ""
        do throws(Stay) {
            try foresee(request, policy)
            guard let session = await sessions.claim(id) else { throw Stay("its session has not come") }
            return .success(try await away(request, head, policy, session, audience, ends))
        } catch {
            logger.info("a build stays on this device", metadata: ["reason": "\(error.reason)"])
            await keep(id)
            return .failure(error)
        }
    }

    /// Spares a session the way through this device where the build does not leave whatever its bases are.
    private func foresee(_ build: BuildRequest, _ policy: Policy) throws(Stay) {
        let request = WorkloadRequest(
            id: .random(), tenant: control.tenant, origin: control.node, image: "scratch", imageID: "",
            imageSize: .zero, workKey: "build \(build.tags.first?.familiarName ?? build.dockerfile)",
            resources: build.resources, policy: policy)
        var memory = thresholds
        let expected = Placement.decide(
            request, snapshot: freshSnapshot, now: now(), fleetReachable: control.isConnected, refused: refusingBuilds,
            estimates: estimates, memory: &memory, policySource: "the build's labels or the configuration")
        guard let likely = expected.target else { throw Stay(expected.reason, refusal: expected.reason) }
        guard likely != control.node else { throw Stay(expected.reason) }
    }

    private func away(
        _ request: BuildRequest, _ head: RequestHead, _ policy: Policy, _ session: KitSession,
        _ audience: any KitAudience, _ ends: [AsyncStream<Never>]
    ) async throws(Stay) -> KitResult {
        let files: [KitFile]
        do {
            files = try await session.files(request.dockerfile)
        } catch {
            throw Stay("\(error)")
        }
        guard let file = files.first(where: { $0.path == request.dockerfile }) else {
            throw Stay("its client has no \(request.dockerfile)")
        }
        let (dockerfile, bases) = try await bases(of: String(buffer: file.bytes), request)
        let errand = try await errand(request, policy, dockerfile, bases)
        do {
            let (engine, answer) = try await begin(request, head, errand, session, files)
            audience.begin()
            let result = await follow(answer, request, errand, audience, ends)
            session.leave(engine)
            await control.abandon(errand.workload, epoch: errand.lease.epoch, reason: "the build has ended")
            return result
        } catch {
            await control.abandon(errand.workload, epoch: errand.lease.epoch, reason: "the build stays on its device")
            throw error
        }
    }

    /// Gives the other node what the build needs, and starts it there.
    private func begin(
        _ request: BuildRequest, _ head: RequestHead, _ errand: Errand, _ session: KitSession, _ files: [KitFile]
    ) async throws(Stay) -> (HTTP2Peer, Answering) {
        var joined: HTTP2Peer?
        do {
            let isSure = try await shipBases(of: errand)
            let names = errand.bases.mapValues { baseName(of: $0, at: errand.target) }
            let pinned = ByteBuffer(string: errand.file.pinned(names))
            let given = files.map { file in
                file.path == request.dockerfile
                    ? KitFile(path: file.path, bytes: pinned, changed: Self.age(pinned)) : file
            }
            let ticket = NodeDialer.Ticketing(ticket: errand.lease.ticket, renew: nil)
            let dialer = NodeDialer(control: control, node: errand.target, purpose: "build", ticket: ticket)
            let target = versioned("/session", head, at: errand.target)
            let offers = await packingOffers(request, session, at: errand.target)
            let offer = offers?.session
            let engine: HTTP2Peer
            do {
                engine = try await session.join(
                    dialer, session.request(target, offer), instead: given, offer: offer)
            } catch  where offer?.isExpected == true {
                // The node may have been an other program's meanwhile.
                engine = try await session.join(dialer, session.request(target, nil), instead: given)
            }
            joined = engine
            let query = request.away(dockerfile: request.dockerfile)
            let ids = Set(errand.bases.values.map { imageNames.id(of: $0.id, at: errand.target) })
            let bases = ids.sorted().joined(separator: ",")
            let build = { @Sendable @NodeLoop [self] in
                try await DockerClient(dialer: dialer, maximumIdle: 0).stream(
                    "POST", versioned(query.target("/build"), head, at: errand.target),
                    headers: (offers.map { [(PackedStream.header, $0.trace.text)] } ?? [])
                        + (bases.isEmpty ? [] : [("X-Lighter-Bases", bases)]))
            }
            var answer = try await build()
            if answer.status == 404, !isSure {
                // One of them may be gone by now.
                _ = try await answer.collect()
                for image in errand.bases.values { try await ship(image, to: errand.target).wait() }
                answer = try await build()
            }
            guard answer.status == 200 else {
                let said = try await answer.collect()
                if said.status == 403 { noteRefusal(said, by: errand.target) }
                throw Stay("node \(errand.target) does not build it: \(Self.message(of: said))")
            }
            for image in errand.bases.values { basesThere["\(errand.target) \(image.id)"] = true }
            return (engine, Answering(stream: answer, offer: offers?.trace))
        } catch {
            for image in errand.bases.values { basesThere.forget("\(errand.target) \(image.id)") }
            if let joined { session.leave(joined) }
            if let stay = error as? Stay { throw stay }
            throw Stay("node \(errand.target) cannot build it: \(error)")
        }
    }

    /// - Returns: whether the node was asked for them; one that has just built with them is not.
    private func shipBases(of errand: Errand) async throws -> Bool {
        let missing = errand.bases.values.filter { basesThere["\(errand.target) \($0.id)"] == nil }
        for image in missing { try await ship(image, to: errand.target).wait() }
        return missing.count == errand.bases.count
    }

    /// With what the folder's last build at that node left here.
    private func packingOffers(
        _ request: BuildRequest, _ session: KitSession, at node: NodeID
    ) async -> (session: PackingOffer, trace: TraceOffer)? {
        guard let folder = configuration.spool else { return nil }
        let name = session.sharedKey ?? request.tags.first?.familiarName ?? ""
        let key = "\(node)\n\(request.dockerfile)\n\(name)"
        return try? await NIOThreadPool.singleton.runIfActive {
            let memory = { (kind: String) in SessionMemory(folder: "\(folder)/sessions", key: "\(kind)\n\(key)") }
            return (PackingOffer(memory("session")), TraceOffer(memory("trace")))
        }
    }

    /// A time of change, in nanoseconds since 1970, that differs where the text does: BuildKit takes files of one size and time for the same.
    private static func age(_ text: ByteBuffer) -> UInt64 {
        UInt64(ContextFrame.digest(of: text).hex.prefix(15), radix: 16) ?? 0
    }

    private func follow(
        _ answer: Answering, _ request: BuildRequest, _ errand: Errand, _ audience: any KitAudience,
        _ ends: [AsyncStream<Never>]
    ) async -> KitResult {
        await withTaskGroup(of: KitResult?.self) { group in
            group.addTask { await self.hear(answer, request, errand, audience) }
            for end in ends {
                group.addTask {
                    for await _ in end {}
                    answer.stream.cancel()
                    return nil
                }
            }
            var result: KitResult?
            if let first = await group.next() { result = first }
            group.cancelAll()
            return result ?? .failed("the build was cancelled")
        }
    }

    private func hear(
        _ answer: Answering, _ request: BuildRequest, _ errand: Errand, _ audience: any KitAudience
    ) async -> KitResult {
        let names = KitNames(errand.bases.map { (shown($0.key), baseName(of: $0.value, at: errand.target)) })
        do {
            var image: LayerDigest?
            var failure: String?
            var failures = KitFailures()
            let word = answer.stream.headers.first(PackedStream.header)
            let unpacker = try answer.offer?.unpacker(word)
            for try await line in Lines(UnpackedTrace(answer.stream.body, unpacker)) {
                guard let json = try? JSON.parse(line) else { continue }
                switch json["id"]?.stringValue {
                case "moby.buildkit.trace":
                    guard let text = json["aux"]?.stringValue, let status = Data(base64Encoded: text) else { continue }
                    let shown = names.shown(in: ByteBuffer(bytes: status))
                    failures.note(shown)
                    try await audience.progress(shown)
                case "moby.image.id": image = json["aux"]?["ID"]?.stringValue.flatMap { LayerDigest($0) }
                default:
                    failure = json["errorDetail"]?["message"]?.stringValue ?? json["error"]?.stringValue ?? failure
                }
            }
            if let kept = unpacker?.kept, let offer = answer.offer {
                NIOThreadPool.singleton.submit { _ in offer.keep(kept, word) }
            }
            if let failure {
                let message = names.shown(in: failure)
                let lines = failures.step(of: message).flatMap { errand.file.lines(ofStep: $0) }
                return .failed(
                    message, lines.map { KitSource(name: request.dockerfile, text: errand.file.text, lines: $0) })
            }
            if request.goesToFiles { return .made(nil) }
            guard let image else { throw FrontDoorError(.unreachable, "it did not say which image it made") }
            let here = try await bring(image, from: errand.target)
            estimates.note(image: "\(here)", at: errand.target)
            for name in request.tags { try await tag(here, name) }
            logger.info("image built away", metadata: ["image": "\(here)", "node": "\(errand.target)"])
            return .made(here)
        } catch {
            let isLost = !(error is FrontDoorError || error is DockerFailure)
            let remedy = isLost ? "; the node or the way to it was lost meanwhile, so build it again" : ""
            return .failed("lighter: the build on node \(errand.target) did not come to this device: \(error)\(remedy)")
        }
    }

    private func baseName(of image: LocalImage, at node: NodeID) -> String {
        "\(Self.baseName):\(imageNames.id(of: image.id, at: node).dropFirst("sha256:".count))"
    }

    private func shown(_ reference: String) -> String {
        ImageReference(reference).map { $0.resolved.canonical } ?? reference
    }
}
