import DockerAPI
import Engine
import LighterTesting
import Logging
import NIOCore
import Testing

@Suite("Watching an engine", .timeLimit(.minutes(1)))
@NodeLoop
struct EngineWatchTests {
    private enum Told: Equatable {
        case up(String, Int)
        case down(EngineError.Code)
        case event(String)
    }

    private static func event(_ action: String, _ nano: Int64) -> JSON {
        [
            "Type": "container", "Action": .string(action), "Actor": ["ID": "c1", "Attributes": ["name": "web"]],
            "timeNano": .int(nano),
        ]
    }

    private nonisolated static let script: FakeEngine.Script = { request in
        switch request.line {
        case "GET /version": .json(["Version": "1.0", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"])
        case "GET /info": .json(["NCPU": 2, "MemTotal": 1024, "DockerRootDir": "/var/lib/docker"])
        case "GET /containers/json": .json([["Id": "c1"]])
        case "GET /events": .stream
        default: .json(["message": "page not found"], status: 404)
        }
    }

    @Test("An engine that answers for its events with the first of them only, as Podman does, is up before that")
    func lateHead() async throws {
        let fixture = try await EngineFixture { $0.line == "GET /events" ? .silence : Self.script($0) }
        let (told, tell) = AsyncStream<Told>.makeStream()
        let watch = EngineWatch(
            client: fixture.client, logger: Logger(label: "test"),
            handlers: .init(up: { tell.yield(.up($0.platform, $1.count)) }, down: { tell.yield(.down($0.code)) }),
            delay: ReconnectDelay(first: .milliseconds(1), longest: .milliseconds(5)))
        let running = Task { await watch.run() }
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        await fixture.engine.stop()
        #expect(await iterator.next() == .down(.unreachable))
        running.cancel()
        await running.value
        await fixture.end()
    }

    @Test("After a cut the watch asks from the last event on, and tells each event once")
    func reconnect() async throws {
        let fixture = try await EngineFixture(start: false, Self.script)
        let (told, tell) = AsyncStream<Told>.makeStream()
        let watch = EngineWatch(
            client: fixture.client, logger: Logger(label: "test"),
            handlers: .init(
                up: { tell.yield(.up($0.platform, $1.count)) }, down: { tell.yield(.down($0.code)) },
                event: { tell.yield(.event($0.action)) }),
            delay: ReconnectDelay(first: .milliseconds(1), longest: .milliseconds(5)))
        let running = Task { await watch.run() }
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == .down(.unreachable))
        try await fixture.engine.start()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        #expect(watch.state == .up)
        #expect(watch.identity?.cpus == 2)
        let first = fixture.engine.requests.first { $0.line == "GET /events" }?.head.query ?? ""
        #expect(first.hasPrefix("since=") && !first.contains("."), "what was before the watch could ask is told, too")
        try await fixture.engine.emit(Self.event("start", 1_000_000_005))
        try await fixture.engine.emit(Self.event("die", 1_000_000_005))
        #expect(await iterator.next() == .event("start"))
        #expect(await iterator.next() == .event("die"))

        await fixture.engine.stop()
        #expect(await iterator.next() == .down(.closed))
        try await fixture.engine.start()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        #expect(fixture.engine.requests.last { $0.line == "GET /events" }?.head.query == "since=1.000000005")
        for action in ["start", "die", "destroy"] { try await fixture.engine.emit(Self.event(action, 1_000_000_005)) }
        try await fixture.engine.emit(Self.event("create", 1_000_000_006))
        #expect(await iterator.next() == .event("destroy"))
        #expect(await iterator.next() == .event("create"))
        running.cancel()
        await running.value
        await fixture.end()
    }

    @Test("A cut in the middle of an event loses none, and tells none twice")
    func cutInTheMiddle() async throws {
        let fixture = try await EngineFixture(Self.script)
        let (told, tell) = AsyncStream<Told>.makeStream()
        let watch = EngineWatch(
            client: fixture.client, logger: Logger(label: "test"),
            handlers: .init(
                up: { tell.yield(.up($0.platform, $1.count)) }, down: { tell.yield(.down($0.code)) },
                event: { tell.yield(.event($0.action)) }),
            delay: ReconnectDelay(first: .milliseconds(1), longest: .milliseconds(5)))
        let running = Task { await watch.run() }
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        let (start, die) = (Self.event("start", 2_000_000_001), Self.event("die", 2_000_000_002))
        var pieces = start.buffer
        pieces.writeString("\n")
        var half = die.buffer
        half.moveWriterIndex(to: half.readableBytes / 2)
        pieces.writeBuffer(&half)
        try await fixture.engine.emit(bytes: pieces)
        #expect(await iterator.next() == .event("start"))
        await fixture.engine.stop()
        #expect(await iterator.next() == .down(.closed))
        try await fixture.engine.start()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        #expect(fixture.engine.requests.last { $0.line == "GET /events" }?.head.query == "since=2.000000001")
        // As an engine answers for what came since, and with what follows.
        for event in [start, die, Self.event("destroy", 2_000_000_003)] { try await fixture.engine.emit(event) }
        #expect(await iterator.next() == .event("die"))
        #expect(await iterator.next() == .event("destroy"))
        running.cancel()
        await running.value
        await fixture.end()
    }

    @Test("An engine that hangs with its connections open is told to be down")
    func hanging() async throws {
        let fixture = try await EngineFixture { $0.line == "GET /_ping" ? .silence : Self.script($0) }
        let (told, tell) = AsyncStream<Told>.makeStream()
        let watch = EngineWatch(
            client: fixture.client, logger: Logger(label: "test"),
            handlers: .init(up: { tell.yield(.up($0.platform, $1.count)) }, down: { tell.yield(.down($0.code)) }),
            pingInterval: .milliseconds(5), pingTimeout: .milliseconds(20))
        let running = Task { await watch.run() }
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == .up("linux/amd64", 1))
        #expect(await iterator.next() == .down(.timeout))
        running.cancel()
        await running.value
        await fixture.end()
    }

    @Test("Events are read in the form of today and in that of old engines")
    func events() throws {
        let new = try EngineEvent(Self.event("start", 5).buffer)
        #expect((new.type, new.action, new.actorID, new.timeNano) == ("container", "start", "c1", 5))
        #expect(new.attributes == ["name": "web"])
        let old = try EngineEvent(ByteBuffer(string: #"{"status":"die","id":"c2","time":3}"#))
        #expect((old.action, old.actorID, old.timeNano) == ("die", "c2", 3_000_000_000))
        #expect(throws: JSONError.self) { try EngineEvent(ByteBuffer(string: "[]")) }
    }

    @Test("The delay grows to its bound and starts anew")
    func delay() {
        var delay = ReconnectDelay(first: .milliseconds(100), longest: .milliseconds(400))
        let delays = (0..<5).map { _ in delay.next() }
        for (delay, ceiling) in zip(delays, [100, 200, 400, 400, 400]) {
            #expect(delay >= .milliseconds(ceiling / 2) && delay <= .milliseconds(ceiling))
        }
        delay.reset()
        #expect(delay.next() <= .milliseconds(100))
    }
}
