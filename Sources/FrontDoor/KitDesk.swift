internal import BuildKit
internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// One client of BuildKit's control service: its calls are the engine's here, but for those of a build that leaves.
///
/// A client first tells what shall become of the result, and then, step by step, what is to be built: only the second call
/// has the labels and the rest. The engine here is asked everything, as it would be; once a build leaves, its calls are taken
/// back, and answered from what the other node says.
@NodeLoop
final class KitDesk {
    enum Method {
        static let solve = "/moby.buildkit.v1.Control/Solve"
        static let status = "/moby.buildkit.v1.Control/Status"
        static let frontend = "/moby.buildkit.v1.frontend.LLBBridge/"
        static let frontendSolve = frontend + "Solve"
        static let frontendReturn = frontend + "Return"
        static let frontendEvaluate = frontend + "Evaluate"
    }

    /// Builds of one client whose calls are kept in mind.
    private static let limit = 256

    let door: FrontDoor
    let front: HTTP2Peer
    private let back: HTTP2Peer
    private var builds: [String: KitCall] = [:]

    init(_ door: FrontDoor, _ front: HTTP2Peer, _ back: HTTP2Peer) {
        self.door = door
        self.front = front
        self.back = back
    }

    func open() {
        front.accept = { [self] id, fields in take(id, fields) }
        front.closed = { [self] in
            back.close()
            for build in builds.values { build.cancel() }
            builds = [:]
        }
        back.closed = { [weak front] in front?.close() }
        if back.isClosed { front.close() }
    }

    private func take(_ id: UInt32, _ fields: [HeaderField]) -> any HTTP2StreamOwner {
        let path = fields.first(":path") ?? ""
        let isAway = build(of: fields)?.isAway ?? false
        guard isAway || [Method.solve, Method.status, Method.frontendSolve].contains(path) else {
            return HTTP2Relay.join(id, of: front, to: back, fields)
        }
        return KitRequest(front, id) { [self] message, data in hear(id, fields, path, message, data) }
    }

    /// Calls of a build's frontend say which build's they are.
    private func build(of fields: [HeaderField]) -> KitCall? {
        fields.first("buildkit-controlapi-buildid").flatMap { builds[$0] }
    }

    /// One whole request.
    private func hear(_ id: UInt32, _ fields: [HeaderField], _ path: String, _ message: ProtoMessage?, _ data: ByteBuffer) {
        if let build = build(of: fields) {
            if build.isAway { return build.answer(id, path, message) }
            if path == Method.frontendSolve, let message {
                return build.leave(id, message) { [self] in _ = pass(id, fields, data) }
            }
        }
        let relay = pass(id, fields, data)
        switch path {
        case Method.solve:
            guard let message, let solve = try? KitSolve(message), !solve.ref.isEmpty, builds.count < Self.limit else {
                return
            }
            builds[solve.ref] = KitCall(self, solve, id, relay)
        case Method.status: builds[message?.text(1) ?? ""]?.watch(id, relay)
        default: break
        }
    }

    /// The engine here gets a request as it came.
    private func pass(_ id: UInt32, _ fields: [HeaderField], _ data: ByteBuffer) -> HTTP2Relay {
        let relay = HTTP2Relay.join(id, of: front, to: back, fields)
        front.give(id, to: relay)
        relay.received(data, ends: true)
        return relay
    }

    func forget(_ ref: String) { builds[ref] = nil }

    // MARK: Answers

    func reply(_ id: UInt32, _ message: ProtoMessage) {
        front.send(GRPC.head, on: id, ends: false)
        front.send(GRPC.frame(message.buffer), on: id)
        front.send(GRPC.success, on: id, ends: true)
    }

    func refuse(_ id: UInt32, _ status: Int, _ message: String) {
        front.send(GRPC.head + GRPC.failure(status, message), on: id, ends: true)
    }
}

/// A request of one message, read whole.
@NodeLoop
final class KitRequest: HTTP2StreamOwner {
    private static let limit = 16 << 20

    private let peer: HTTP2Peer
    private let id: UInt32
    private var data = ByteBuffer()
    private let whole: @NodeLoop (ProtoMessage?, ByteBuffer) -> Void

    /// - Parameter whole: told the message, nil for what is none, and all that came.
    init(_ peer: HTTP2Peer, _ id: UInt32, _ whole: @escaping @NodeLoop (ProtoMessage?, ByteBuffer) -> Void) {
        self.peer = peer
        self.id = id
        self.whole = whole
    }

    func received(_ fields: [HeaderField], ends: Bool) {}

    func received(_ more: ByteBuffer, ends: Bool) {
        peer.consumed(more.readableBytes, on: id)
        data.writeImmutableBuffer(more)
        guard data.readableBytes <= Self.limit else {
            let trailers = GRPC.failure(8, "lighter: the request is over \(Self.limit) bytes")
            peer.send(GRPC.head + trailers, on: id, ends: true)
            return
        }
        guard ends else { return }
        var reader = GRPCReader(limit: Self.limit)
        reader.add(data)
        let message = (try? reader.next()).flatMap { try? ProtoMessage($0) }
        whole(reader.isEmpty ? message : nil, data)
    }

    func reset(_ code: UInt32) {}
}

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
        desk.front.send(GRPC.head, on: watcher.id, ends: false)
        for status in held { desk.front.send(GRPC.frame(status), on: watcher.id) }
        held = []
        heldBytes = 0
        if hasEnded { desk.front.send(GRPC.success, on: watcher.id, ends: true) }
    }

    // MARK: Leaving

    /// What is to be built is known: builds it elsewhere, or lets the engine here have the call.
    func leave(_ step: UInt32, _ frontend: ProtoMessage, _ stay: @escaping @NodeLoop () -> Void) {
        let door = desk.door
        door.start { [self] in
            guard let head = try? RequestHead.make("POST", "/build", [("Host", "docker")]),
                let (query, doubt) = try? solve.query(frontend)
            else { return home(stay, "its request is none") }
            guard let query else { return home(stay, doubt ?? "") }
            let request = BuildRequest(head, query)
            let policy = door.policy(of: request)
            if !request.ties.isEmpty {
                if let target = policy.target, target != door.control.node {
                    door.sessions.release(solve.session)
                    return desk.refuse(step, 9, FrontDoor.tied(request, target))
                }
                return home(stay, "it uses \(request.ties.joined(separator: ", "))")
            }
            guard door.mayLeave(policy) else { return home(stay, "its labels keep it here") }
            switch await door.buildByKit(request, head, policy, self, gone: gone) {
            case .failure(let reason):
                if let refusal = reason.refusal { return desk.refuse(step, 9, "lighter: \(refusal)") }
                stay()
            case .success(let result): ended(result, step)
            }
        }
    }

    private func home(_ stay: () -> Void, _ reason: String) {
        desk.door.logger.info("a build stays on this device", metadata: ["reason": "\(reason)"])
        desk.door.sessions.release(solve.session)
        stay()
    }

    func begin() {
        isAway = true
        relay.detach()
        desk.front.give(id, to: self)
        for index in watchers.indices { take(index) }
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
        case .failed(let message): desk.refuse(step, 2, Self.plain(message))
        }
    }

    /// Docker puts words of its own before BuildKit's, which clients of BuildKit put there themselves.
    private static func plain(_ message: String) -> String {
        var rest = message[...]
        for words in ["failed to solve with frontend dockerfile.v0: ", "failed to solve: "] where rest.hasPrefix(words) {
            rest = rest.dropFirst(words.count)
        }
        return String(rest)
    }

    /// Further calls of the build's client, once it is elsewhere.
    func answer(_ call: UInt32, _ path: String, _ message: ProtoMessage?) {
        switch path {
        case KitDesk.Method.frontendReturn:
            desk.reply(call, ProtoMessage())
            finish(message)
        // All that there is to be done has been.
        case KitDesk.Method.frontendEvaluate: desk.reply(call, ProtoMessage())
        default: desk.refuse(call, 12, "lighter: not offered of a build on another node")
        }
    }

    /// The client knows how its build went, and wants the result.
    private func finish(_ returned: ProtoMessage?) {
        desk.forget(solve.ref)
        if let error = returned?.bytes(2) {
            let message = (try? ProtoMessage(error))?.text(2) ?? ""
            return desk.refuse(id, 2, message)
        }
        switch result {
        case .made(let image?):
            var response = ProtoMessage()
            response.add(1, key: "containerimage.config.digest", value: "\(image)")
            response.add(1, key: "containerimage.digest", value: "\(image)")
            desk.reply(id, response)
        case .made(nil): desk.reply(id, ProtoMessage())
        case .failed(let message): desk.refuse(id, 2, Self.plain(message))
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
