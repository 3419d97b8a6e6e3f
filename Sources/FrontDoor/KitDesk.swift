internal import BuildKit
internal import DockerAPI
internal import Engine
internal import FoundationEssentials
internal import NIOCore

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
        /// Those that are read of every build.
        static let heard = [solve, status, frontendSolve, frontendReturn]
    }

    /// Builds of one client whose calls are kept in mind.
    private static let limit = 256

    let door: FrontDoor
    let front: HTTP2Peer
    private let back: HTTP2Peer
    private var builds: [String: KitCall] = [:]
    /// Calls that want to be told of a build which is not known yet: a client makes both at once, in any order.
    private var early: [(ref: String, id: UInt32, relay: HTTP2Relay)] = []

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
            early = []
        }
        back.closed = { [weak front] in front?.close() }
        if back.isClosed { front.close() }
    }

    private func take(_ id: UInt32, _ fields: [HeaderField]) -> any HTTP2StreamOwner {
        let path = fields.first(":path") ?? ""
        let isAway = build(of: fields)?.isAway ?? false
        guard isAway || Method.heard.contains(path) else {
            return HTTP2Relay.join(id, of: front, to: back, fields)
        }
        return KitRequest(front, id) { [self] message, data in hear(id, fields, path, message, data) }
    }

    /// Calls of a build's frontend say which build's they are.
    private func build(of fields: [HeaderField]) -> KitCall? {
        fields.first("buildkit-controlapi-buildid").flatMap { builds[$0] }
    }

    /// One whole request.
    private func hear(
        _ id: UInt32, _ fields: [HeaderField], _ path: String, _ message: ProtoMessage?, _ data: ByteBuffer
    ) {
        if let build = build(of: fields) {
            if build.isAway { return build.answer(id, path, message) }
            if path == Method.frontendSolve, let message {
                return build.leave(id, message) { [self] in _ = pass(id, fields, data) }
            }
            if path == Method.frontendReturn { build.over() }
        }
        let relay = pass(id, fields, data)
        switch path {
        case Method.solve:
            guard let message, let solve = try? KitSolve(message), !solve.ref.isEmpty, builds.count < Self.limit else {
                return
            }
            let build = KitCall(self, solve, id, relay)
            // Its session is of no use to anybody, but its client waits for it.
            if solve.isQuestion { build.over() } else { builds[solve.ref] = build }
            for watcher in early where watcher.ref == solve.ref { build.watch(watcher.id, watcher.relay) }
            early.removeAll { $0.ref == solve.ref }
        case Method.status: watch(message?.text(1) ?? "", id, relay)
        default: break
        }
    }

    private func watch(_ ref: String, _ id: UInt32, _ relay: HTTP2Relay) {
        if let build = builds[ref] { return build.watch(id, relay) }
        early.append((ref, id, relay))
        if early.count > Self.limit { early.removeFirst() }
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

    /// - Parameter status: the same as gRPC's `Status`, where there is more to be said.
    func refuse(_ id: UInt32, _ code: Int, _ message: String, status: ByteBuffer? = nil) {
        let details = status.map { status in
            HeaderField("grpc-status-details-bin", Data(status.readableBytesView).base64EncodedString())
        }
        front.send(GRPC.head + GRPC.failure(code, message) + (details.map { [$0] } ?? []), on: id, ends: true)
    }
}
