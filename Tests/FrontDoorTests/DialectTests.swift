import DockerAPI
import Fleet
import LighterTesting
import NIOCore
import Session
import Testing

@testable import FrontDoor

/// With answers as Podman 4.3.1 gives them.
@Suite("Engines that are not Docker's", .timeLimit(.minutes(1)))
struct DialectTests {
    private static let network: JSON = [
        "Id": .string("a".repeated(64)), "Name": "app", "Driver": "bridge", "Scope": "local", "Labels": [:],
    ]

    @Test("A network that is at the node already is used, also where the node's engine calls that an error of its own")
    func twin() async throws {
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                switch request.line {
                case "GET /networks/app": .json(Self.network)
                case "GET /containers/json": .json([])
                default: .json(["message": "no"], status: 404)
                }
            }
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /networks/create":
                    .json(
                        [
                            "cause": "network already exists", "response": 500,
                            "message": "network name app.edge1 already used: network already exists",
                        ], status: 500)
                case "GET /networks/app": .json(["Id": .string("b".repeated(64)), "Name": "app.edge1"])
                case "POST /containers/create":
                    .json(["Id": .string("1".repeated(64)), "Warnings": []], status: 201)
                default: .json([:], status: 404)
                }
            }
            try await here.start()
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path)
            rig.plane.govern(.remote)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: rig.plane.snapshot.nodes.first?.id,
                        reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            let answer = try await rig.post(
                "/v1.41/containers/create?name=web", #"{"Image":"busybox","HostConfig":{"NetworkMode":"app"}}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 "), "\(answer.body)")
            let request = try #require(away.requests.first { $0.line == "POST /containers/create" })
            #expect(try JSON.parse(request.body)["HostConfig"]?["NetworkMode"] == .string("b".repeated(64)))
            await node.stop()
            for engine in [here, away] { await engine.stop() }
        }
    }

    @Test("The engine's events are asked for and told in Docker's words")
    func events() async throws {
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                guard request.line == "GET /events" else { return .json([:]) }
                let event =
                    #"{"status":"remove","id":"a1","Type":"container","Action":"remove","Actor":{"ID":"a1"}}"# + "\n"
                return .raw(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n0\r\n\r\n")
            }
            try await here.start()
            let filters = "%7B%22event%22%3A%5B%22die%22%2C%22destroy%22%5D%7D"
            let answer = try await rig.get("/v1.41/events?until=1&filters=\(filters)")
            #expect(answer.body.contains(#""Action":"destroy""#) && answer.body.contains(#""status":"destroy""#))
            #expect(!answer.body.contains("remove"))
            let asked = try #require(here.requests.first { $0.line == "GET /events" }).head.target
            let query = DockerPath.parse(method: "GET", target: asked).query
            #expect(try query.filters().values("event") == ["die", "destroy", "died", "remove"])
            await here.stop()
        }
    }
}
