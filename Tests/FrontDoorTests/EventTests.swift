import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Synchronization
import Testing

@testable import FrontDoor

@Suite("Events of what containers elsewhere share", .timeLimit(.minutes(1)))
struct EventTests {
    private static let own = "aa".repeated(32)
    private static let twin = "bb".repeated(32)

    private static func event(_ type: String, _ action: String, _ id: String, _ attributes: JSON, at nanos: Int64)
        -> JSON
    {
        [
            "Type": .string(type), "Action": .string(action), "Actor": ["ID": .string(id), "Attributes": attributes],
            "timeNano": .int(nanos),
        ]
    }

    private static func answer(_ events: [JSON]) -> FakeEngine.Answer {
        let text = events.map { $0.text + "\n" }.joined()
        return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
    }

    /// The history that a client gets with these filters.
    private func history(_ filters: String = "") async throws -> [JSON] {
        let found = SharedEvents()
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                switch request.line {
                case "GET /events":
                    Self.answer([Self.event("network", "create", Self.own, ["name": "app"], at: 1)])
                case "GET /networks": .json([["Id": "device", "Name": "bridge"]])
                default: .json([:], status: 404)
                }
            }
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                guard request.line == "GET /events" else { return .json([:], status: 404) }
                let container: JSON = .string(Rig.cloud)
                return Self.answer([
                    Self.event("network", "connect", Self.twin, ["container": container, "name": "app.edge1"], at: 2),
                    Self.event("network", "connect", "theirs", ["container": container, "name": "bridge"], at: 3),
                    Self.event("volume", "mount", "data.edge1", ["container": container, "driver": "local"], at: 4),
                ])
            }
            try await here.start()
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path, route: "web")
            try await rig.twin(Self.twin, of: Self.own, named: "app")
            await rig.door.learnPlainNetworks()
            let answer = try await rig.get("/v1.41/events?since=1&until=2&filters=\(filters)")
            found.put(Rig.documents(answer.body))
            let asked = try #require(away.requests.last { $0.line == "GET /events" }?.head.target)
            let names = try DockerPath.parse(method: "GET", target: asked).query.filters().names
            #expect(Set(names).isDisjoint(with: ["network", "volume"]), "there they have other names")
            await node.stop()
            for engine in [here, away] { await engine.stop() }
        }
        return found.all
    }

    @Test("show the device's names and ids, once")
    func names() async throws {
        let seen = try await history()
        #expect(seen.map { $0["Action"] } == ["create", "connect", "connect", "mount"])
        #expect(seen.map { $0["Actor"]?["ID"] } == [.string(Self.own), .string(Self.own), "device", "data"])
        #expect(seen.dropFirst().first?["Actor"]?["Attributes"]?["name"] == "app")
        #expect(seen.last?["Actor"]?["Attributes"]?["container"] == .string(Rig.cloud))
    }

    @Test(
        "are found by the names that they have here",
        arguments: [
            (#"{"volume":["data"]}"#, ["create", "mount"]), (#"{"network":["app"]}"#, ["create", "connect"]),
            (#"{"network":["device"]}"#, ["create", "connect"]), (#"{"volume":["data.edge1"]}"#, ["create"]),
        ])
    func filters(filters: String, expected: [String]) async throws {
        // The fake engine here does not filter: its event is always there.
        let seen = try await history(PercentCoding.encode(filters))
        #expect(seen.map { $0["Action"]?.stringValue } == expected)
    }

    @Test("go on, none lost and none twice, when a node's engine is back")
    func restarts() async throws {
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                request.line == "GET /events" ? .stream : .json([])
            }
            let container: JSON = ["name": "web"]
            let (first, second) = (
                Self.event("container", "start", Rig.cloud, container, at: 4_000_000_000_000_000_001),
                Self.event("container", "pause", Rig.cloud, container, at: 4_000_000_000_000_000_002)
            )
            let calls = Calls()
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                guard request.head.target.hasPrefix("/v1.41/events") else { return .json([], status: 404) }
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
                return switch calls.next() {
                case 1: .rawThenClose("\(head)\(first.text)\n")
                case 2: .json(["message": "the engine cannot be reached"], status: 502)
                default: .raw("\(head)\(first.text)\n\(second.text)\n")
                }
            }
            try await here.start()
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path, route: "web")
            let client = try await rig.client()
            try await client.send("GET /v1.41/events HTTP/1.1\r\nHost: d\r\n\r\n")
            _ = try await client.receiveHead()
            for event in [first, second] {
                let seen = Rig.documents(try await client.receive(to: "}\n\r\n"))
                #expect(seen.map { $0["timeNano"] } == [event["timeNano"]])
            }
            let asked = try #require(away.requests.last { $0.head.target.hasPrefix("/v1.41") }?.head.target)
            #expect(DockerPath.parse(method: "GET", target: asked).query.first("since") == "4000000000.000000001")
            await client.close()
            await node.stop()
            for engine in [here, away] { await engine.stop() }
        }
    }

    @Test("The removal of a volume that only went elsewhere is none, another one of the same name is")
    @NodeLoop
    func moves() {
        let log = EventLog()
        let destroy = { (seconds: Double) in
            Self.event("volume", "destroy", "data", [:], at: Int64(seconds * 1e9))
        }
        log.beginMove(of: "data", now: 10)
        log.endMove(of: "data", now: 11)
        #expect(log.hides(destroy(10.5)))
        #expect(!log.hides(destroy(12)))
        #expect(!log.hides(Self.event("volume", "create", "data", [:], at: 10_500_000_000)))
    }

    @Test("A log tells those who follow it, keeps the last 256, and ends with them")
    @NodeLoop
    func log() async {
        let log = EventLog()
        let (events, end) = log.follow()
        for number in 0..<300 { log.note(volume: "v\(number)", "create", now: 1.5) }
        end()
        log.note(volume: "late", "create", now: 2)
        var names: [String?] = []
        for await event in events { names.append(event["Actor"]?["ID"]?.stringValue) }
        #expect(names.last == "v299")
        #expect(log.past.count == 256)
        #expect(log.past.last?["timeNano"] == 2_000_000_000)
    }
}

private final class Calls: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}

private final class SharedEvents: Sendable {
    private let events = Mutex<[JSON]>([])
    func put(_ found: [JSON]) { events.withLock { $0 = found } }
    var all: [JSON] { events.withLock { $0 } }
}

extension Rig {
    /// Has the network's twin at `cloud1`.
    @NodeLoop
    fileprivate func twin(_ twin: String, of id: String, named name: String) throws {
        try door.networks.put(twin: twin, of: id, named: name, at: NodeID("cloud1"))
    }
}
