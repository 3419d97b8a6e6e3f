import DockerAPI
import Engine
import Fleet
import LighterTesting
import Session
import Testing

@testable import FrontDoor

/// The device's own engine is stopped.
@Suite("While the device's engine is away", .timeLimit(.minutes(1)))
struct EngineAwayTests {
    private static let entry: JSON = [
        "Id": .string(Rig.cloud), "Names": ["/web.edge1"], "Image": "busybox", "State": "running", "Labels": [:],
        "Created": 1,
    ]

    private static let death = """
        {"Type":"container","Action":"die","Actor":{"ID":"\(Rig.cloud)","Attributes":{"name":"web.edge1"}},\
        "time":4000000000,"timeNano":4000000000000000000}
        """

    private func with(_ body: @escaping @Sendable (Rig, FakeEngine) async throws -> Void) async throws {
        try await Rig.with { rig in
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "GET /containers/json": .json([Self.entry])
                case "GET /containers/\(Rig.cloud)/json": .json(["Id": .string(Rig.cloud), "Name": "/web.edge1"])
                case "POST /containers/\(Rig.cloud)/stop": .raw("HTTP/1.1 204 No Content\r\n\r\n")
                case "GET /events": Self.chunk(Self.death)
                case "POST /containers/create":
                    .json(["Id": .string("1".repeated(64)), "Warnings": []], status: 201)
                default: .json([:], status: 404)
                }
            }
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path, route: "web")
            rig.plane.govern(.remote)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: rig.plane.snapshot.nodes.first?.id,
                        reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            try await body(rig, away)
            await node.stop()
            await away.stop()
        }
    }

    @Test("containers elsewhere are listed with a warning, inspected and stopped; volumes likewise")
    func elsewhere() async throws {
        try await with { rig, _ in
            let list = try await rig.get("/v1.41/containers/json")
            #expect(list.head.hasPrefix("HTTP/1.1 200 "))
            #expect(list.head.contains("X-Lighter-Warning: Cannot connect to the Docker daemon at unix://"))
            #expect(try JSON.parse(Array(list.body.utf8)).arrayValue?.map { $0["Names"] } == [["/web"]])
            #expect(try await rig.get("/v1.41/containers/web/json").head.hasPrefix("HTTP/1.1 200 "))
            #expect(try await rig.post("/v1.41/containers/web/stop").head.hasPrefix("HTTP/1.1 204 "))
        }
    }

    @Test(
        "what needs it fails in Docker's own words", arguments: ["/images/json", "/containers/other/json", "/networks"])
    func refused(path: String) async throws {
        try await with { rig, _ in
            let answer = try await rig.get("/v1.41\(path)")
            #expect(answer.head.hasPrefix("HTTP/1.1 503 "))
            #expect(answer.body.contains("Is the docker daemon running?"), "\(answer.body)")
        }
    }

    @Test("a container is made elsewhere, if its image was known before", arguments: [true, false])
    func create(isKnown: Bool) async throws {
        try await with { rig, away in
            let here = FakeEngine(path: rig.enginePath) { request in
                request.line == "GET /images/busybox/json"
                    ? .json(["Id": .string("sha256:" + "7".repeated(64)), "Size": 1]) : .json([:], status: 404)
            }
            if isKnown {
                try await here.start()
                _ = try await rig.post("/v1.41/containers/create?name=first", #"{"Image":"busybox"}"#)
                await here.stop()
            }
            let before = away.requests.filter { $0.line == "POST /containers/create" }.count
            let answer = try await rig.post("/v1.41/containers/create?name=second", #"{"Image":"busybox"}"#)
            let made = away.requests.filter { $0.line == "POST /containers/create" }.dropFirst(before)
            if isKnown {
                #expect(answer.head.hasPrefix("HTTP/1.1 201 "), "\(answer.body)")
                let last = try #require(made.last)
                #expect(try JSON.parse(last.body)["Image"] == .string("sha256:" + "7".repeated(64)))
            } else {
                #expect(answer.head.hasPrefix("HTTP/1.1 503 "))
                #expect(answer.body.contains("what image busybox is cannot be told"))
                #expect(made.isEmpty)
            }
        }
    }

    @Test("events of containers elsewhere are told, and the engine's own from when it is back")
    func events() async throws {
        try await with { rig, away in
            let client = try await rig.client()
            try await client.send("GET /v1.41/events HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 200 "))
            let there = try await client.receive(to: "}\n")
            #expect(there.contains(Rig.cloud) && there.contains("die"), "\(there)")
            let own = #"{"Type":"volume","Action":"create","Actor":{"ID":"v"},"time":2,"timeNano":2000000000}"#
            let here = FakeEngine(path: rig.enginePath) { request in
                request.line == "GET /events" ? Self.chunk(own) : .json([:], status: 404)
            }
            try await here.start()
            _ = try await client.receive(to: #""ID":"v""#)
            await client.close()
            await here.stop()
        }
    }

    @Test("events up to a moment end at that moment")
    func boundedEvents() async throws {
        try await with { rig, _ in
            let answer = try await rig.get("/v1.41/events?until=\(await rig.door.now() + 2)")
            #expect(answer.head.hasPrefix("HTTP/1.1 200 ") && answer.body.contains(Rig.cloud), "\(answer)")
        }
    }

    /// The beginning of an endless chunked answer.
    private static func chunk(_ line: String) -> FakeEngine.Answer {
        .raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(line.utf8.count + 1, radix: 16))\r\n\(line)\n\r\n"
        )
    }

    @Test("version and info are answered without it, and by it as soon as it is back, with all containers counted")
    func description() async throws {
        try await with { rig, _ in
            await rig.down()
            #expect(try await rig.get("/v1.41/version").body.contains(#""Name":"Lighter""#))
            let alone = try JSON.parse(Array(try await rig.get("/v1.41/info").body.utf8))
            #expect(alone["Containers"] == 1 && alone["Warnings"]?[0]?.stringValue?.contains("cannot reach") == true)
            let here = FakeEngine(path: rig.enginePath) { request in
                switch request.line {
                case "GET /_ping": .json([:])
                case "GET /info":
                    .json(["Name": "own", "Containers": 3, "ContainersRunning": 1, "ContainersStopped": 2])
                default: .json([:], status: 404)
                }
            }
            try await here.start()
            await rig.hear(Rig.cloud, "running")
            // Before anybody has said that it is back.
            let counted = try JSON.parse(Array(try await rig.get("/v1.41/info").body.utf8))
            #expect(counted["Name"] == "own")
            #expect(counted["Containers"] == 4 && counted["ContainersRunning"] == 2)
            #expect(counted["ContainersPaused"] == 0 && counted["ContainersStopped"] == 2)
            await here.stop()
        }
    }

    @Test("a checkpoint of a container elsewhere is refused as the engine here refuses any, else with the reason")
    func checkpoints() async throws {
        try await with { rig, away in
            let path = "/v1.41/containers/web/checkpoints"
            let alone = try await rig.post(path, #"{"CheckpointID":"c"}"#)
            #expect(alone.head.hasPrefix("HTTP/1.1 501 ") && alone.body.contains("lighter.policy=local"))
            for (status, expected) in [(501, "experimental"), (404, "lighter.policy=local")] {
                let here = FakeEngine(path: rig.enginePath) { _ in
                    .json(["message": "experimental"], status: status)
                }
                try await here.start()
                let delete = "DELETE \(path)/c HTTP/1.1\r\nHost: d\r\n\r\n"
                for answer in [try await rig.get(path), try await rig.ask(delete)] {
                    #expect(answer.head.hasPrefix("HTTP/1.1 501 ") && answer.body.contains(expected), "\(answer)")
                }
                await here.stop()
            }
            #expect(!away.requests.contains { $0.head.target.contains("checkpoint") || $0.head.method == "DELETE" })
        }
    }
}

extension Rig {
    /// Whoever watches the engine says that it is away.
    @NodeLoop
    fileprivate func down() { door.isEngineDown = true }

    /// What a container elsewhere was heard to do last.
    @NodeLoop
    fileprivate func hear(_ id: String, _ state: String) { door.lastStates[id] = state }
}
