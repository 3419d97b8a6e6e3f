internal import BuildKit
internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// A build of a client that asks step by step, and its calls that wait for answers.
@NodeLoop
final class KitCall: HTTP2StreamOwner, KitAudience {
    /// Progress that nobody has asked for yet, in bytes.
    private static let heldLimit = 1 << 20

    private let desk: KitDesk
    private let solve: KitSolve
    private let id: UInt32
    private let relay: HTTP2Relay
    private var watchers: [(id: UInt32, relay: HTTP2Relay?)] = []
    private var held: [ByteBuffer] = []
    private var heldBytes = 0
    private var result: KitResult?
    private(set) var isAway = false
    /// Steps that came before it was known where the first one goes; nil where nothing is being decided.
    private var later: [(step: UInt32, stay: @NodeLoop () -> Void)]?
    private var hasEnded = false
    private let gone: AsyncStream<Never>
    private let goneInlet: AsyncStream<Never>.Continuation

    /// - Parameter relay: of the call that waits for the build's result.
    init(_ desk: KitDesk, _ solve: KitSolve, _ id: UInt32, _ relay: HTTP2Relay) {
        self.desk = desk
        self.solve = solve
        self.id = id
        self.relay = relay
        (gone, goneInlet) = AsyncStream.makeStream()
    }

    func cancel() { goneInlet.finish() }

    /// A call that wants to be told of the progress.
    func watch(_ id: UInt32, _ relay: HTTP2Relay) {
        watchers.append((id, relay))
        if isAway { take(watchers.count - 1) }
    }

    private func take(_ index: Int) {
        let watcher = watchers[index]
        watcher.relay?.detach()
        watchers[index].relay = nil
        desk.front.give(watcher.id, to: KitWatcher(desk.front, watcher.id))
        if watcher.relay?.hasAnswered != true { desk.front.send(GRPC.head, on: watcher.id, ends: false) }
        for status in held { desk.front.send(GRPC.frame(status), on: watcher.id) }
        held = []
        heldBytes = 0
        if hasEnded { desk.front.send(GRPC.success, on: watcher.id, ends: true) }
    }

    // MARK: Leaving

    /// What is to be built is known: builds it elsewhere, or lets the engine here have the call.
    func leave(_ step: UInt32, _ frontend: ProtoMessage, _ stay: @escaping @NodeLoop () -> Void) {
        guard later == nil else {
            later?.append((step, stay))
            return
        }
        later = []
        desk.door.start { [self] in
            switch await decided(frontend) {
            case .success(let result): ended(result, step)
            case .failure(let reason):
                desk.forget(solve.ref)
                if let refusal = reason.refusal { desk.refuse(step, 9, "lighter: \(refusal)") } else { stay() }
                for (_, stay) in later ?? [] { stay() }
            }
            later = nil
        }
    }

    private func decided(_ frontend: ProtoMessage) async -> Result<KitResult, FrontDoor.Stay> {
        let door = desk.door
        guard let head = try? RequestHead.make("POST", "/build", [("Host", "docker")]),
            let (query, doubt) = try? solve.query(frontend)
        else { return await home(FrontDoor.Stay("its request is none")) }
        let request = BuildRequest(head, query)
        let policy = door.policy(of: request)
        let ties = request.ties + (doubt.map { [$0] } ?? [])
        guard ties.isEmpty else {
            let refusal = policy.target.flatMap { $0 == door.control.node ? nil : FrontDoor.tied(ties, $0) }
            return await home(FrontDoor.Stay("it uses \(ties.joined(separator: ", "))", refusal: refusal))
        }
        guard door.mayLeave(policy) else { return await home(FrontDoor.Stay("its labels keep it here")) }
        return await door.buildByKit(request, head, policy, self, ends: [gone])
    }

    /// Its client is done with it, and nothing of it left.
    func over() {
        desk.forget(solve.ref)
        desk.door.start { [self] in await desk.door.keep(solve.session) }
    }

    private func home(_ stay: FrontDoor.Stay) async -> Result<KitResult, FrontDoor.Stay> {
        desk.door.logger.info("a build stays on this device", metadata: ["reason": "\(stay.reason)"])
        await desk.door.keep(solve.session)
        return .failure(stay)
    }

    func begin() {
        isAway = true
        relay.detach()
        // Its client may have given up before there was anything to take back.
        guard desk.front.has(id) else { return cancel() }
        desk.front.give(id, to: self)
        for index in watchers.indices { take(index) }
        for (step, _) in later ?? [] { desk.refuse(step, 12, Self.notOffered) }
        later = []
    }

    func progress(_ status: ByteBuffer) async throws {
        for watcher in watchers { desk.front.send(GRPC.frame(status), on: watcher.id) }
        guard watchers.isEmpty, heldBytes < Self.heldLimit else {
            return await desk.front.drained()
        }
        held.append(status)
        heldBytes += status.readableBytes
    }

    private func ended(_ result: KitResult, _ step: UInt32) {
        self.result = result
        hasEnded = true
        for watcher in watchers { desk.front.send(GRPC.success, on: watcher.id, ends: true) }
        switch result {
        case .made:
            // SolveResponse, of a reference that says nothing: what it stands for is done.
            var reference = ProtoMessage()
            reference.add(1, "lighter")
            var found = ProtoMessage()
            found.add(3, reference)
            var response = ProtoMessage()
            response.add(3, found)
            desk.reply(step, response)
        case .failed(let message, let source): refuse(step, message, source)
        }
    }

    private func refuse(_ call: UInt32, _ message: String, _ source: KitSource?) {
        let message = Self.plain(message)
        desk.refuse(call, 2, message, status: source?.status(2, message))
    }

    /// Docker puts words of its own before BuildKit's, which clients of BuildKit put there themselves.
    private static func plain(_ message: String) -> String {
        var rest = message[...]
        for words in ["failed to solve with frontend dockerfile.v0: ", "failed to solve: "] where rest.hasPrefix(words)
        {
            rest = rest.dropFirst(words.count)
        }
        return String(rest)
    }

    private static let notOffered = "lighter: not offered of a build on another node"

    /// Further calls of the build's client, once it is elsewhere.
    func answer(_ call: UInt32, _ path: String, _ message: ProtoMessage?) {
        switch path {
        case KitDesk.Method.frontendReturn:
            desk.reply(call, ProtoMessage())
            finish(message)
        // All that there is to be done has been.
        case KitDesk.Method.frontendEvaluate: desk.reply(call, ProtoMessage())
        default: desk.refuse(call, 12, Self.notOffered)
        }
    }

    /// The client knows how its build went, and wants the result.
    private func finish(_ returned: ProtoMessage?) {
        desk.forget(solve.ref)
        if let error = returned?.bytes(2) {
            // It gives back what it was told.
            return desk.refuse(id, 2, (try? ProtoMessage(error))?.text(2) ?? "", status: error)
        }
        switch result {
        case .made(let image?):
            var response = ProtoMessage()
            response.add(1, key: "containerimage.config.digest", value: "\(image)")
            response.add(1, key: "containerimage.digest", value: "\(image)")
            desk.reply(id, response)
        case .made(nil): desk.reply(id, ProtoMessage())
        case .failed(let message, let source): refuse(id, message, source)
        case nil: desk.refuse(id, 1, "the build was given up")
        }
    }

    // MARK: The call for the result

    func received(_ fields: [HeaderField], ends: Bool) {}

    func received(_ data: ByteBuffer, ends: Bool) { desk.front.consumed(data.readableBytes, on: id) }

    /// Its client does not want the build any more.
    func reset(_ code: UInt32) {
        desk.forget(solve.ref)
        cancel()
    }
}

/// A call whose answers another sends.
@NodeLoop
private final class KitWatcher: HTTP2StreamOwner {
    private let peer: HTTP2Peer
    private let id: UInt32

    init(_ peer: HTTP2Peer, _ id: UInt32) {
        self.peer = peer
        self.id = id
    }

    func received(_ fields: [HeaderField], ends: Bool) {}
    func received(_ data: ByteBuffer, ends: Bool) { peer.consumed(data.readableBytes, on: id) }
    func reset(_ code: UInt32) {}
}
