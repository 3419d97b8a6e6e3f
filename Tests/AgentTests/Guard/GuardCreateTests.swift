import DockerAPI
import Engine
import Fleet
import Testing

@testable import Agent

@Suite("Creating through the guard")
@NodeLoop
struct GuardCreateTests {
    static let id = String(repeating: "a1", count: 32)

    @Test("sanitises the body, maps the name and knows the container before any event")
    func create() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["Id": .string(Self.id), "Warnings": []], status: 201) }
            let client = try await rig.connect(ticket: rig.ticket())
            let response = try await client.call(
                "POST", "/v1.41/containers/create?name=web&platform=linux%2Famd64", body: CreateFixtures.run)
            #expect(response?.status == 201)
            let call = try #require(engine.calls.first)
            #expect(call.head.target == "/v1.41/containers/create?name=web.edge1&platform=linux%2Famd64")
            #expect(call.json?["Labels"]?["io.lighter.workload"]?.stringValue == rig.workload.hex)
            #expect(call.json?["HostConfig"]?["PidsLimit"] == 4096)
            let record = try #require(rig.inventory.index.container("web", of: rig.workload))
            #expect(record.id == Self.id)
            #expect(record.name == "web.edge1")
            #expect(rig.reports.list.last?.state == .created)
            #expect(rig.reports.list.last?.version.epoch == 3)
            // The workload has its container: the lease is for one.
            #expect(try await client.call("POST", "/containers/create", body: "{}")?.status == 409)
            #expect(engine.calls.count == 1)
        }
    }

    @Test("draws a name that carries the origin when the user gave none")
    func drawnName() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["Id": .string(Self.id)], status: 201) }
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/containers/create", body: #"{"Image":"x"}"#)?.status == 201)
            let drawn = "lighter-\(rig.workload.hex.prefix(12))"
            #expect(engine.calls.first?.head.target == "/containers/create?name=\(drawn).edge1")
            #expect(rig.inventory.index[Self.id]?.userName == drawn)
            #expect(rig.reports.list.last?.name == drawn)
        }
    }

    @Test("names field and reason when it refuses, and the stream goes on")
    func refused() async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            let body = #"{"Image":"x","HostConfig":{"Privileged":true}}"#
            let response = try #require(try await client.call("POST", "/containers/create", body: body))
            #expect(response.status == 403)
            #expect(
                response.message.hasPrefix(
                    "lighter: node cloud1 does not admit HostConfig.Privileged: offloaded containers run unprivileged"))
            #expect(try await client.call("POST", "/containers/create", body: "{")?.status == 400)
            #expect(try await client.call("POST", "/containers/create", body: #"{"Image":"x"}"#)?.status == 200)
            #expect(engine.calls.count == 1)
        }
    }

    @Test("a create that failed may be tried again")
    func retry() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "No such image: x"], status: 404) }
            let client = try await rig.connect(ticket: rig.ticket())
            for _ in 0..<2 {
                let response = try #require(
                    try await client.call("POST", "/containers/create", body: #"{"Image":"x"}"#))
                #expect(response.status == 404)
                #expect(response.message == "No such image: x")
                #expect(!response.head.headers.contains("X-Lighter-Refused"))
            }
        }
    }

    @Test(
        "refuses for want of room with a status that sends the origin elsewhere",
        arguments: [
            Headroom.Free(memory: .mebibytes(100)), Headroom.Free(disk: .mebibytes(10)), Headroom.Free(pids: 3),
        ])
    func capacity(free: Headroom.Free) async throws {
        try await withGuard(free: free) { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            let response = try #require(try await client.call("POST", "/containers/create", body: #"{"Image":"x"}"#))
            #expect(response.status == 503)
            #expect(response.head.headers.first("X-Lighter-Refused") == "capacity")
            #expect(response.message.hasPrefix("lighter: node cloud1 has no room: "))
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("counts what the container asks for against what is free")
    func asked() async throws {
        try await withGuard(free: Headroom.Free(memory: .gibibytes(1))) { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            let body = #"{"Image":"x","HostConfig":{"Memory":1073741824}}"#
            #expect(try await client.call("POST", "/containers/create", body: body)?.status == 503)
            #expect(try await client.call("POST", "/containers/create", body: #"{"Image":"x"}"#)?.status == 200)
        }
    }

    @Test("sanitises exec, update and rename too")
    func otherBodies() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { $0.head.path.hasSuffix("/exec") ? .json(["Id": "e1"], status: 201) : .json([:]) }
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(
                try await client.call("POST", "/containers/web/exec", body: #"{"privileged":true,"Cmd":["sh"]}"#)?
                    .status == 403)
            #expect(
                try await client.call("POST", "/containers/web/exec", body: #"{"Cmd":["sh"],"Tty":true}"#)?.status
                    == 201)
            #expect(engine.calls.last?.json == ["Cmd": ["sh"], "Tty": true])
            #expect(try await client.call("GET", "/exec/e1/json")?.status == 200)
            #expect(
                try await client.call(
                    "POST", "/containers/web/update", body: #"{"Devices":[{"PathOnHost":"/dev/sda"}]}"#)?.status == 403)
            #expect(
                try await client.call("POST", "/containers/web/update", body: #"{"memory":8388608}"#)?.status == 200)
            #expect(engine.calls.last?.json == ["Memory": 8_388_608])
            #expect(try await client.call("POST", "/containers/web/rename?name=shop")?.status == 204)
            #expect(engine.calls.last?.head.target == "/containers/\(Self.id)/rename?name=shop.edge1")
            #expect(try await client.call("POST", "/containers/web/rename?name=a%20b")?.status == 400)
        }
    }

    @Test("an exec of another workload's container does not exist")
    func othersExec() async throws {
        try await withGuard { rig, engine in
            let other = rig.inspection(id: String(repeating: "c", count: 64), workload: .random())
            engine.answer = { call in
                call.head.path.hasPrefix("/exec/") ? .json(["ContainerID": other["Id"] ?? .null]) : .json(other)
            }
            let client = try await rig.connect(ticket: rig.ticket())
            let response = try #require(try await client.call("POST", "/exec/e9/start", body: "{}"))
            #expect(response.status == 404)
            #expect(response.message == "No such exec instance: e9")
            #expect(!engine.paths().contains("POST /exec/e9/start"))
        }
    }
}
