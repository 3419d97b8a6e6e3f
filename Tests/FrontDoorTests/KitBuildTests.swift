import BuildKit
import DockerAPI
import Fleet
import Foundation
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor
@testable import Images

/// Names in the order in which they came.
private final class SharedNames: Sendable {
    private let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0 } }
    func add(_ name: String) { names.withLock { $0.append(name) } }
}

@Suite("Builds by BuildKit", .timeLimit(.minutes(1)))
struct KitBuildTests {
    private static let dockerfile = "FROM busybox AS a\nRUN true\n"
    private static let pinned = "FROM lighter.invalid/base:\("b".repeated(64)) AS a\nRUN true\n"
    private static let switching = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    /// The other node's engine: its side of sessions, and the connections on which builds wait for their answer.
    private final class Far: Sendable {
        let sessions = AsyncStream.makeStream(of: Peer.self)
        let builds = AsyncStream.makeStream(of: (any Channel).self)
        let requests = Mutex<[RequestHead]>([])

        func script(_ request: FakeEngine.Request) -> FakeEngine.Answer? {
            switch request.line {
            case "POST /session":
                requests.withLock { $0.append(request.head) }
                return Self.hand(sessions.continuation)
            case "POST /build":
                requests.withLock { $0.append(request.head) }
                return .hand { [builds] in builds.continuation.yield($0) }
            default: return nil
            }
        }

        static func hand(_ inlet: AsyncStream<Peer>.Continuation) -> FakeEngine.Answer {
            .hand { channel in
                if let peer = try? Peer.adopt(channel) { inlet.yield(peer) }
                channel.writeAndFlush(ByteBuffer(string: KitBuildTests.switching), promise: nil)
            }
        }

        func session() async throws -> KitPlayer {
            for await peer in sessions.stream { return KitPlayer(peer, .client) }
            throw CancellationError()
        }

        func answer(_ text: String) async throws {
            for await channel in builds.stream {
                return try await channel.writeAndFlush(ByteBuffer(string: text)).get()
            }
        }
    }

    private func with(
        _ body: @escaping @Sendable (Rig, HomecomingScene, Far) async throws -> Void
    ) async throws {
        try await HomecomingScene.with { rig, scene in
            let far = Far()
            scene.state.withLock { $0.scripts.there = { far.script($0) } }
            rig.plane.govern(.remote)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: try? NodeID("cloud1"), reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            try await body(rig, scene, far)
        }
    }

    private static func lines(_ documents: String...) -> String {
        let text = documents.map { $0 + "\r\n" }.joined()
        return "HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"
    }

    /// BuildKit's word that a step of this name has begun.
    private static func trace(_ name: String, error: String? = nil) -> String {
        var step = ProtoMessage()
        step.add(1, "sha256:1")
        step.add(3, name)
        if let error { step.add(7, error) }
        var status = ProtoMessage()
        status.add(1, step)
        let text = Data(status.buffer.readableBytesView).base64EncodedString()
        return #"{"id":"moby.buildkit.trace","aux":"\#(text)"}"#
    }

    private static func steps(_ status: ProtoMessage) throws -> [String] {
        try status.all(1).map { try ProtoMessage($0).text(3) }
    }

    private static let image = #"{"id":"moby.image.id","aux":{"ID":"\#(HomecomingScene.image.id)"}}"#

    private func session(_ rig: Rig, _ id: String = "s1") async throws -> Peer {
        let client = try await rig.client()
        try await client.send(
            "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: \(id)\r\n"
                + "X-Docker-Expose-Session-Grpc-Method: /moby.filesync.v1.FileSync/DiffCopy\r\n"
                + "X-Docker-Expose-Session-Sharedkey: key\r\n\r\n")
        return client
    }

    private static let target =
        "POST /v1.41/build?version=2&session=s1&remote=client-session&t=mine&buildargs=%7B%7D&rm=1&networkmode=default"

    @Test(
        "An older client's build goes to another node with its session; its bases have names there, and the image comes home"
    )
    func older() async throws {
        try await with { rig, scene, far in
            let session = try await session(rig)
            let asked = SharedNames()
            let build = try await rig.client()
            try await build.send("\(Self.target) HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
            #expect(try await session.receiveHead().hasPrefix("HTTP/1.1 101 "))
            let player = KitPlayer(session, .server)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await player.serve("Dockerfile", Self.dockerfile) { asked.add($0) }
                }
                group.addTask {
                    let engine = try await far.session()
                    #expect(try await engine.read(folder: "dockerfile") == ("Dockerfile", Self.pinned))
                    #expect(try await engine.read(folder: "context") == ("Dockerfile", Self.dockerfile))
                    let step = "[1/2] FROM lighter.invalid/base:\("b".repeated(64))"
                    try await far.answer(Self.lines(Self.trace(step), Self.image))
                }
                group.addTask {
                    let body = try await build.receive(to: "0\r\n\r\n")
                    #expect(body.contains(Self.trace("[1/2] FROM docker.io/library/busybox:latest")), "\(body)")
                    #expect(body.contains("moby.image.id") && !body.contains("error"), "\(body)")
                    await session.close()
                }
                try await group.waitForAll()
            }
            #expect(asked.all == ["dockerfile", "context"])
            #expect(scene.state.withLock { $0.tags } == ["repo=mine&tag=latest"])
            let heads = far.requests.withLock { $0 }
            #expect(heads.first?.headers.first("X-Docker-Expose-Session-Uuid") == "s1")
            #expect(heads.last?.headers.first("X-Lighter-Bases") == HomecomingScene.base)
            let query = DockerPath.parse(method: "POST", target: heads.last?.target ?? "").query
            #expect(query.first("t") == nil && query.first("version") == "2" && query.first("session") == "s1")
            while rig.plane.abandoned.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
            await build.close()
        }
    }

    /// A node that packs sessions, and what each left there.
    private final class PackingNode: Sendable {
        let memories = Mutex<[LayerDigest: ByteBuffer]>([:])
        let last = Mutex<ByteBuffer?>(nil)
        let heads = Mutex<[RequestHead]>([])
        /// Bytes of sessions that came to the node, as they came.
        let heard = Mutex<[Int]>([])

        func forget() { memories.withLock { $0 = [:] } }

        func answer(_ head: RequestHead, _ inlet: AsyncStream<Peer>.Continuation) -> FakeEngine.Answer {
            let offer = head.headers.first(PackedStream.header) ?? ""
            heads.withLock { $0.append(head) }
            let memory = LayerDigest(offer).flatMap { name in memories.withLock { $0[name] } }
            let word = memory == nil ? "plain" : "known"
            return .hand { [self] channel in
                channel.writeAndFlush(
                    ByteBuffer(
                        string: KitBuildTests.switching.replacing(
                            "\r\n\r\n", with: "\r\nX-Lighter-Packed: \(word)\r\n\r\n")
                    ), promise: nil)
                let handler = try? PackedStreamHandler(.agreeing, pulls: false, memory: memory) { [self] left in
                    memories.withLock { $0[ContextFrame.digest(of: left)] = left }
                    last.withLock { $0 = left }
                }
                guard let handler, let peer = try? Peer.adopt(channel) else { return }
                try? channel.pipeline.syncOperations.addHandler(handler, position: .first)
                try? channel.pipeline.syncOperations.addHandler(Scale(self), position: .first)
                inlet.yield(peer)
            }
        }

        /// Counts what a channel hears.
        private final class Scale: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            private let node: PackingNode
            private var count = 0
            init(_ node: PackingNode) { self.node = node }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                count += unwrapInboundIn(data).readableBytes
                context.fireChannelRead(data)
            }
            func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
                context.fireUserInboundEventTriggered(event)
                if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
            }
            func channelInactive(context: ChannelHandlerContext) {
                node.heard.withLock { $0.append(count) }
                context.fireChannelInactive()
            }
        }
    }

    /// What the device remembers of sessions.
    private static func remembered(_ rig: Rig) -> [LayerDigest] {
        let folder = "\(rig.folder.path)/spool/sessions"
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap {
            FileManager.default.contents(atPath: "\(folder)/\($0)").map {
                ContextFrame.digest(of: ByteBuffer(bytes: $0))
            }
        }
    }

    /// One build of an older client, of a folder that has a Dockerfile; the node hears the session's `attempt`.
    private func build(_ rig: Rig, _ far: Far, _ session: String, beside others: [String] = [], attempt: Int = 1)
        async throws
    {
        let client = try await self.session(rig, session)
        let build = try await rig.client()
        try await build.send(
            "\(Self.target.replacing("session=s1", with: "session=\(session)")) HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
        )
        _ = try await client.receiveHead()
        let player = KitPlayer(client, .server)
        async let serving: Void = player.serve("Dockerfile", Self.dockerfile, beside: others) { _ in }
        for _ in 1..<attempt { _ = try await far.session() }
        let engine = try await far.session()
        #expect(try await engine.read(folder: "context") == ("Dockerfile", Self.dockerfile))
        #expect(try await engine.read(folder: "context") == ("Dockerfile", Self.dockerfile))
        try await far.answer(Self.lines(Self.image))
        #expect(try await build.receive(to: "0\r\n\r\n").contains("moby.image.id"))
        await client.close()
        await serving
        await build.close()
    }

    @Test("A session is packed with what the folder's last one left, as far as its node remembers that")
    func packed() async throws {
        let node = PackingNode()
        try await with { rig, scene, far in
            scene.state.withLock { state in
                state.scripts.there = { request in
                    request.line == "POST /session"
                        ? node.answer(request.head, far.sessions.continuation) : far.script(request)
                }
            }
            var random = SeededGenerator(seed: 5)
            let names = (0..<100).map { _ in String(UInt64.random(in: 0 ... .max, using: &random), radix: 36) }
            for turn in 0..<3 {
                if turn == 2 { node.forget() }
                try await build(rig, far, "s\(turn)", beside: names)
                while node.heard.withLock({ $0.count }) <= turn || node.last.withLock({ $0 == nil }) {
                    try await Task.sleep(for: .milliseconds(2))
                }
                let left = try #require(node.last.withLock { $0 })
                // The device writes its own down beside its work.
                while !Self.remembered(rig).contains(ContextFrame.digest(of: left)) {
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
            let heads = node.heads.withLock { $0 }
            let offers = heads.compactMap { $0.headers.first(PackedStream.header) }
            #expect(offers.count == 3 && offers.first == PackedStream.nothing)
            #expect(offers.dropFirst().allSatisfy { LayerDigest($0) != nil }, "\(offers)")
            #expect(heads.map { $0.headers.first(SessionMethods.header) } == [nil, "0", "0"])
            #expect(heads.map { $0.headers.contains(SessionMethods.field) } == [true, false, false])
            let heard = node.heard.withLock { $0 }
            #expect(heard[1] + 400 < heard[0] && heard[2] > heard[1] + 400, "\(heard)")
            // Another program is at the node, which does not know how.
            scene.state.withLock { state in state.scripts.there = { far.script($0) } }
            try await build(rig, far, "s3", attempt: 2)
            let plain = far.requests.withLock { $0 }.filter { $0.target.contains("/session") }
            #expect(plain.map { $0.headers.contains(SessionMethods.field) } == [false, true])
        }
    }

    @Test("A node that has just built with its bases is not asked for them; one that has lost them gets them again")
    func basesAgain() async throws {
        try await with { rig, scene, far in
            let lines = SharedNames()
            let refusals = Mutex(0)
            scene.state.withLock { state in
                state.scripts.there = { request in
                    lines.add(request.line)
                    let isRefused = refusals.withLock { left in
                        guard request.line == "POST /build", left > 0 else { return false }
                        left -= 1
                        return true
                    }
                    return isRefused ? .json(["message": "No such image"], status: 404) : far.script(request)
                }
            }
            let asked = "GET /images/\(HomecomingScene.base)/json"
            for (turn, wanted) in [1, 0, 1].enumerated() {
                refusals.withLock { $0 = turn == 2 ? 1 : 0 }
                let before = lines.all.count
                try await build(rig, far, "s\(turn)")
                let said = lines.all.dropFirst(before)
                #expect(said.count { $0 == asked } == wanted, "\(said)")
                #expect(said.count { $0 == "POST /build" } == (turn == 2 ? 2 : 1))
            }
        }
    }

    @Test("An older client takes its build back in a request of its own")
    func cancelled() async throws {
        try await with { rig, scene, far in
            let session = try await session(rig)
            let build = try await rig.client()
            try await build.send("\(Self.target)&buildid=b1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
            _ = try await session.receiveHead()
            let player = KitPlayer(session, .server)
            async let serving: Void = player.serve("Dockerfile", Self.dockerfile) { _ in }
            _ = try await far.session()
            try await far.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\(Self.trace("x"))\r\n")
            _ = try await build.receive(to: "moby.buildkit.trace")
            #expect(try await rig.post("/build/cancel?id=b1").head.hasPrefix("HTTP/1.1 200 "))
            #expect(try await build.receive(to: "0\r\n\r\n").contains("cancelled"))
            #expect(scene.state.withLock { $0.tags.isEmpty })
            await session.close()
            await serving
            await build.close()
        }
    }

    /// Of Control.Solve, for the session and a name.
    private static func solve(_ exporter: String = "moby", _ more: (inout ProtoMessage) -> Void = { _ in })
        -> ProtoMessage
    {
        var message = ProtoMessage()
        message.add(1, "r1")
        message.add(3, exporter)
        message.add(4, key: "name", value: "mine,other:v2")
        message.add(5, "s1")
        more(&message)
        return message
    }

    private static func frontend(_ options: [String: String] = [:]) -> ProtoMessage {
        var message = ProtoMessage()
        message.add(2, "dockerfile.v0")
        for (key, value) in options.merging(["filename": "Dockerfile"], uniquingKeysWith: { $1 }) {
            message.add(3, key: key, value: value)
        }
        message.add(5, 1)
        return message
    }

    /// A client of the control service, once the engine here has been given its connection.
    private func control(_ rig: Rig, _ scene: HomecomingScene) async throws -> (
        client: KitPlayer, engine: KitPlayer, Peer
    ) {
        let engines = AsyncStream.makeStream(of: Peer.self)
        scene.state.withLock { state in
            state.scripts.here = { $0.line == "POST /grpc" ? Far.hand(engines.continuation) : nil }
        }
        let client = try await rig.client()
        try await client.send("POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 101 "))
        for await peer in engines.stream {
            return (KitPlayer(client, .client), KitPlayer(peer, .server), client)
        }
        throw CancellationError()
    }

    private static let build = [HeaderField("buildkit-controlapi-buildid", "r1")]

    @Test(
        "A client of today has its calls answered by the engine here, until its build leaves; then as it goes there",
        arguments: [true, false])
    func today(isWatchedFirst: Bool) async throws {
        try await with { rig, scene, far in
            let (client, engine, connection) = try await control(rig, scene)
            let question = try await client.open("/moby.buildkit.v1.Control/ListWorkers", [], ProtoMessage())
            guard case .head(let asked, let head, _) = try await engine.next() else { return }
            #expect(head.first(":path") == "/moby.buildkit.v1.Control/ListWorkers")
            var workers = ProtoMessage()
            workers.add(1, "worker")
            try await engine.send(GRPC.head, on: asked)
            try await engine.send(workers, on: asked)
            try await engine.send(GRPC.success, on: asked, ends: true)
            #expect(try await client.answer(on: question).messages == [workers])

            let session = try await session(rig)
            var status = ProtoMessage()
            status.add(1, "r1")
            let early = isWatchedFirst ? try await client.open(KitDesk.Method.status, [], status) : nil
            let solving = try await client.open(KitDesk.Method.solve, [], Self.solve())
            let watching: UInt32
            if let early {
                watching = early
            } else {
                watching = try await client.open(KitDesk.Method.status, [], status)
            }
            let step = try await client.open(
                KitDesk.Method.frontendSolve, Self.build,
                Self.frontend(["label:a": "b", "attest:provenance": "mode=min,inline-only=true"]))
            #expect(try await session.receiveHead().hasPrefix("HTTP/1.1 101 "))
            try await withThrowingTaskGroup(of: Void.self) { group in
                let player = KitPlayer(session, .server)
                group.addTask { await player.serve("Dockerfile", Self.dockerfile) { _ in } }
                group.addTask {
                    let far2 = try await far.session()
                    #expect(try await far2.read(folder: "dockerfile").text == Self.pinned)
                    try await far.answer(Self.lines(Self.trace("[2/2] RUN true"), Self.image))
                }
                group.addTask {
                    // The engine here is not to wait for a build that has left.
                    var resets = 0
                    while resets < 2 { if case .reset = try await engine.next() { resets += 1 } }
                }
                group.addTask {
                    let told = try await client.answer(on: watching)
                    #expect(try told.messages.flatMap { try Self.steps($0) } == ["[2/2] RUN true"])
                    let answer = try await client.answer(on: step)
                    #expect(answer.trailers.first("grpc-status") == "0" && answer.messages.count == 1)
                    let returning = try await client.open(KitDesk.Method.frontendReturn, Self.build, ProtoMessage())
                    let returned = try await client.answer(on: returning)
                    #expect(returned.trailers.first("grpc-status") == "0")
                    let result = try await client.answer(on: solving)
                    let response = try #require(try result.messages.first?.map(1))
                    #expect(response.contains { $0 == ("containerimage.digest", "\(HomecomingScene.image.id)") })
                    await session.close()
                }
                try await group.waitForAll()
            }
            #expect(scene.state.withLock { $0.tags } == ["repo=mine&tag=latest", "repo=other&tag=v2"])
            let query = DockerPath.parse(method: "POST", target: far.requests.withLock { $0.last?.target } ?? "").query
            #expect(query.first("labels") == #"{"a":"b"}"# && query.first("dockerfile") == "Dockerfile")
            await connection.close()
        }
    }

    @Test("An error at the other node is the client's, in BuildKit's own form, with the lines of the Dockerfile")
    func failure() async throws {
        try await with { rig, scene, far in
            let (client, _, connection) = try await control(rig, scene)
            let session = try await session(rig)
            let solving = try await client.open(KitDesk.Method.solve, [], Self.solve())
            let step = try await client.open(KitDesk.Method.frontendSolve, Self.build, Self.frontend())
            _ = try await session.receiveHead()
            let player = KitPlayer(session, .server)
            async let serving: Void = player.serve("Dockerfile", Self.dockerfile) { _ in }
            _ = try await far.session()
            try await far.answer(
                Self.lines(
                    Self.trace("[1/2] FROM lighter.invalid/base:\("b".repeated(64))", error: "context canceled"),
                    Self.trace("[2/2] RUN true", error: "process \"x\" exit code: 7"),
                    #"{"errorDetail":{"message":"failed to solve: process \"x\" exit code: 7"},"error":"x"}"#))
            let trailers = try await client.answer(on: step).trailers
            #expect(trailers.first("grpc-status") == "2")
            #expect(trailers.first("grpc-message") == "process \"x\" exit code: 7")
            let details = try #require(trailers.first("grpc-status-details-bin").flatMap { Data(base64Encoded: $0) })
            let status = try ProtoMessage(ByteBuffer(bytes: details))
            #expect(status.number(1) == 2 && status.text(2) == "process \"x\" exit code: 7")
            let detail = try ProtoMessage(try #require(status.bytes(3)))
            #expect(detail.text(1) == "github.com/moby/buildkit/errdefs.Source+json")
            let source = try JSON.parse(try #require(detail.bytes(2)))
            #expect(source["info"]?["filename"] == "Dockerfile")
            #expect(source["info"]?["data"]?.stringValue == Data(Self.dockerfile.utf8).base64EncodedString())
            #expect(source["ranges"] == [["start": ["line": 2], "end": ["line": 2]]])
            // What a client was told it tells back, and hears as the end of its build.
            var returned = ProtoMessage()
            returned.add(2, status)
            let returning = try await client.open(KitDesk.Method.frontendReturn, Self.build, returned)
            #expect(try await client.answer(on: returning).trailers.first("grpc-status") == "0")
            let end = try await client.answer(on: solving).trailers
            #expect(end.first("grpc-status-details-bin") == trailers.first("grpc-status-details-bin"))
            #expect(scene.state.withLock { $0.tags.isEmpty })
            await session.close()
            await serving
            await connection.close()
        }
    }

    @Test(
        "A client's question, and one that gives up, get their session at the engine here at once",
        arguments: [true, false])
    func question(isMarked: Bool) async throws {
        try await with { rig, scene, _ in
            let (client, engine, connection) = try await control(rig, scene)
            let sessions = AsyncStream.makeStream(of: Peer.self)
            scene.state.withLock { state in
                state.scripts.here = { $0.line == "POST /session" ? Far.hand(sessions.continuation) : nil }
            }
            let session = try await session(rig)
            _ = try await client.open(KitDesk.Method.solve, [], Self.solve { if isMarked { $0.add(11, 1) } })
            _ = try await client.open(KitDesk.Method.frontendReturn, Self.build, ProtoMessage())
            #expect(try await session.receiveHead() == Self.switching)
            var paths: [String] = []
            while paths.count < 2 {
                if case .head(_, let fields, _) = try await engine.next() { paths.append(fields.first(":path") ?? "") }
            }
            #expect(paths == [KitDesk.Method.solve, KitDesk.Method.frontendReturn])
            await session.close()
            await connection.close()
        }
    }

    @Test("Builds of one session may go different ways")
    func shared() async throws {
        try await with { rig, scene, far in
            let (client, engine, connection) = try await control(rig, scene)
            let sessions = AsyncStream.makeStream(of: Peer.self)
            scene.state.withLock { state in
                state.scripts.here = { $0.line == "POST /session" ? Far.hand(sessions.continuation) : nil }
            }
            let session = try await session(rig)
            _ = try await client.open(KitDesk.Method.solve, [], Self.solve())
            let step = try await client.open(KitDesk.Method.frontendSolve, Self.build, Self.frontend())
            _ = try await session.receiveHead()
            let player = KitPlayer(session, .server)
            async let serving: Void = player.serve("Dockerfile", Self.dockerfile) { _ in }
            _ = try await far.session()
            try await far.answer(Self.lines(Self.image))
            #expect(try await client.answer(on: step).trailers.first("grpc-status") == "0")
            var other = ProtoMessage()
            other.add(1, "r2")
            other.add(3, "moby")
            other.add(5, "s1")
            _ = try await client.open(KitDesk.Method.solve, [], other)
            _ = try await client.open(
                KitDesk.Method.frontendSolve, [HeaderField("buildkit-controlapi-buildid", "r2")],
                Self.frontend(["label:lighter.policy": "local"]))
            for await peer in sessions.stream {
                let here = KitPlayer(peer, .client)
                #expect(try await here.read(folder: "dockerfile").text == Self.dockerfile)
                break
            }
            var solves = 0
            while solves < 1 {
                if case .head(_, let fields, _) = try await engine.next(),
                    fields.first(":path") == KitDesk.Method.frontendSolve
                {
                    solves += 1
                }
            }
            await session.close()
            await serving
            await connection.close()
        }
    }

    /// What keeps a build on its device: of the call for the result, or of the frontend.
    enum Odd: String, CaseIterable {
        case entitlement, cache, output, frontend, option, network, pull, inputs, label, push
    }

    @Test(
        "What another node is not asked for is built by the engine here, which gets the session as it came",
        arguments: Odd.allCases)
    func stays(odd: Odd) async throws {
        try await with { rig, scene, _ in
            let (client, engine, connection) = try await control(rig, scene)
            let sessions = AsyncStream.makeStream(of: Peer.self)
            scene.state.withLock { state in
                state.scripts.here = { $0.line == "POST /session" ? Far.hand(sessions.continuation) : nil }
            }
            let session = try await session(rig)
            let solve = Self.solve(odd == .output ? "oci" : "moby") { message in
                if odd == .entitlement { message.add(9, "network.host") }
                if odd == .push { message.add(4, key: "push", value: "true") }
                if odd == .cache {
                    var cache = ProtoMessage()
                    cache.add(5, "x")
                    message.add(8, cache)
                }
            }
            let options: [Odd: [String: String]] = [
                .option: ["context:x": "docker-image://y"], .network: ["force-network-mode": "host"],
                .pull: ["image-resolve-mode": "pull"], .label: ["label:lighter.policy": "local"],
            ]
            var frontend = Self.frontend(options[odd] ?? [:])
            if odd == .frontend { frontend.add(2, "gateway.v0") }
            if odd == .inputs { frontend.add(13, "x") }
            _ = try await client.open(KitDesk.Method.solve, [], solve)
            _ = try await client.open(KitDesk.Method.frontendSolve, Self.build, frontend)
            for wanted in [solve, frontend] {
                var reader = GRPCReader(limit: 1 << 20)
                var found: ProtoMessage?
                while found == nil {
                    guard case .data(_, let data, _) = try await engine.next() else { continue }
                    reader.add(data)
                    found = try reader.next().map { try ProtoMessage($0) }
                }
                #expect(found == wanted)
            }
            // The engine's own answer: byte by byte.
            for await peer in sessions.stream {
                #expect(try await session.receiveHead() == Self.switching)
                try await peer.send("raw")
                #expect(try await session.receive(to: "raw") == "raw")
                break
            }
            #expect(rig.plane.placementsAsked.isEmpty)
            await session.close()
            await connection.close()
        }
    }

    @Test(
        "A Dockerfile that is in doubt is built here, by a session that has been looked into",
        arguments: [
            "# syntax=docker/dockerfile:1\nFROM busybox\n", "FROM unknown\n",
            "FROM busybox\nRUN --mount=type=bind,from=nginx x\n",
        ])
    func doubt(text: String) async throws {
        try await with { rig, scene, _ in
            let sessions = AsyncStream.makeStream(of: Peer.self)
            scene.state.withLock { state in
                state.scripts.here = { $0.line == "POST /session" ? Far.hand(sessions.continuation) : nil }
            }
            let session = try await session(rig)
            let build = try await rig.client()
            try await build.send("\(Self.target) HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
            _ = try await session.receiveHead()
            let player = KitPlayer(session, .server)
            async let serving: Void = player.serve("Dockerfile", text) { _ in }
            for await peer in sessions.stream {
                let engine = KitPlayer(peer, .client)
                #expect(try await engine.read(folder: "dockerfile").text == text)
                break
            }
            #expect(try await build.receive(to: "here\"}").contains("here"))
            #expect(scene.state.withLock { $0.builtHere.count } == 1)
            await session.close()
            await serving
            await build.close()
        }
    }

    @Test("On a device whose policy is local, sessions and control are the engine's, byte by byte")
    func local() async throws {
        try await with { rig, scene, _ in
            rig.plane.govern(.local)
            let engines = AsyncStream.makeStream(of: Peer.self)
            scene.state.withLock { state in
                state.scripts.here = {
                    ["POST /session", "POST /grpc"].contains($0.line) ? Far.hand(engines.continuation) : nil
                }
            }
            let session = try await session(rig)
            for await peer in engines.stream {
                #expect(try await session.receiveHead() == Self.switching)
                try await session.send("not even HTTP/2")
                #expect(try await peer.receive(to: "HTTP/2") == "not even HTTP/2")
                break
            }
            // Labels come too late for it: where they say more than a wish, that is said.
            for (label, answer) in [
                ("lighter.policy%22%3A%22remote", "here"), ("lighter.target%22%3A%22cloud1", "409"),
            ] {
                let build = try await rig.client()
                try await build.send(
                    "\(Self.target)&labels=%7B%22\(label)%22%7D HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
                #expect(try await build.receive(to: answer).contains(answer))
                await build.close()
            }
            #expect(scene.state.withLock { $0.builtHere.count } == 1 && rig.plane.placementsAsked.isEmpty)
            await session.close()
        }
    }
}
