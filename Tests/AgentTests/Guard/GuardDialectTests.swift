import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Testing

@testable import Agent

/// With answers as Podman 4.3.1 gives them.
@Suite("The guard before an engine that is not Docker's")
@NodeLoop
struct GuardDialectTests {
    private static let id = String(repeating: "a1", count: 32)

    private static func event(_ action: String, of origin: String, name: String, more: String = "") -> String {
        #"{"status":"\#(action)","id":"\#(id)","from":"localhost/busybox:latest","Type":"container","Action":"\#(action)","#
            + #""Actor":{"ID":"\#(id)","Attributes":{"image":"localhost/busybox:latest","io.lighter.origin":"\#(origin)","#
            + #""io.lighter.tenant":"main"\#(more),"name":"\#(name)"}},"timeNano":1795549515665424569}"#
    }

    private static func chunked(_ lines: [String]) -> String {
        let body = lines.map { "\(String($0.utf8.count + 1, radix: 16))\r\n\($0)\n\r\n" }.joined()
        return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(body)0\r\n\r\n"
    }

    @Test(
        "Of events with any of the labels, the caller sees those with all of them, in Docker's words",
        arguments: [true, false])
    func events(isChunked: Bool) async throws {
        let lines = [
            Self.event("remove", of: "edge1", name: "own.edge1", more: #","a":"b""#),
            Self.event("start", of: "edge2", name: "foreign.edge2", more: #","a":"b""#),
            Self.event("start", of: "edge1", name: "other.edge1"),
            Self.event("start", of: "edge1", name: "last.edge1", more: #","a":"b""#),
        ]
        let whole = lines.joined(separator: "\n")
        try await withGuard { rig, engine in
            engine.answer = { _ in
                .raw(
                    isChunked
                        ? Self.chunked(lines)
                        : "HTTP/1.1 200 OK\r\nContent-Length: \(whole.utf8.count)\r\n\r\n\(whole)")
            }
            let client = try await rig.connect()
            let filters = "%7B%22label%22%3A%5B%22a%3Db%22%5D%2C%22event%22%3A%5B%22destroy%22%5D%7D"
            let answer = try #require(try await client.call("GET", "/v1.41/events?filters=\(filters)"))
            let seen = answer.body.split(separator: "\n").compactMap { try? JSON.parse(Array($0.utf8)) }
            #expect(seen.map { $0["Actor"]?["Attributes"]?["name"] } == ["own.edge1", "last.edge1"])
            #expect(seen.map { $0["Action"] } == ["destroy", "start"])
            let query = DockerPath.parse(method: "GET", target: try #require(engine.calls.first?.head.target)).query
            #expect(try query.filters().values("event") == ["destroy", "remove"])
            #expect(try await client.call("GET", "/_ping")?.status == 200)
        }
    }

    @Test(
        "An engine that speaks no old versions is asked in its oldest, and in the caller's where it speaks that",
        arguments: [
            ("1.44", "/v1.41/version", "/v1.44/version"),
            ("1.44", "/v1.47/version", "/v1.47/version"), ("1.44", "/version", "/version"),
            ("1.24", "/v1.41/version", "/v1.41/version"), ("", "/v1.41/version", "/v1.41/version"),
        ])
    func oldestVersion(oldest: String, asked: String, passed: String) async throws {
        try await withGuard { rig, engine in
            await rig.inventory.engineUp(EngineIdentity(version: ["MinAPIVersion": .string(oldest)], info: [:]), [])
            engine.answer = { _ in .raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") }
            let client = try await rig.connect()
            #expect(try await client.call("GET", asked)?.status == 200)
            #expect(engine.calls.last?.head.target == passed)
        }
    }

    @Test("Of volumes with any of the labels, the caller sees its own")
    func volumes() async throws {
        let volume = { (name: String, origin: String) -> JSON in
            ["Name": .string(name), "Labels": ["io.lighter.tenant": "main", "io.lighter.origin": .string(origin)]]
        }
        try await withGuard { rig, engine in
            engine.answer = { _ in
                .json(["Volumes": [volume("own.edge1", "edge1"), volume("foreign.edge2", "edge2")], "Warnings": []])
            }
            let client = try await rig.connect()
            let report = try await client.call("GET", "/v1.41/volumes")?.json
            #expect(report?["Volumes"]?.arrayValue?.map { $0["Name"] } == ["own.edge1"])
            #expect(engine.calls.first?.head.routePath == "/volumes")
        }
    }

    @Test("Who waits for a removal hears the exit code that the events told, also when the container is gone by then")
    func wait() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .later }
            let client = try await rig.connect(ticket: rig.ticket())
            let gone = try await rig.connect(ticket: rig.ticket())
            let request = "POST /containers/web/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n"
            for caller in [client, gone] {
                let count = engine.calls.count
                caller.send(request)
                await engine.waitForCalls(count + 1)
            }
            let answer = Self.chunked([#"{"StatusCode":0,"Error":null}"#])
            await rig.inventory.apply(try InventoryTests.event("die", at: 5_000_000_000, ["exitCode": "3"]))
            engine.reply(to: "/wait", answer)
            #expect(try await client.response(method: "POST")?.json?["StatusCode"] == 3)
            await rig.inventory.apply(try InventoryTests.event("remove", at: 6_000_000_000))
            #expect(rig.inventory.index.records.isEmpty)
            engine.reply(to: "/wait", answer)
            #expect(try await gone.response(method: "POST")?.json?["StatusCode"] == 3)
        }
    }

    @Test("Who asks again for a container that is gone hears its exit code, if it is its workload's")
    func waitForGone() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .json(["message": "No such container"], status: 404) }
            await rig.inventory.apply(try InventoryTests.event("die", at: 5_000_000_000, ["exitCode": "7"]))
            await rig.inventory.apply(try InventoryTests.event("destroy", at: 6_000_000_000))
            let path = "/containers/\(Self.id)/wait?condition=removed"
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", path)?.json?["StatusCode"] == 7)
            let stranger = try await rig.connect(ticket: rig.ticket(workload: .random()))
            #expect(try await stranger.call("POST", path)?.status == 404)
        }
    }

    @Test("The answer to such a wait waits for an event that comes behind it")
    func lateEvent() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .later }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send("POST /containers/web/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n")
            await engine.waitForCalls(1)
            engine.reply(to: "/wait", Self.chunked([#"{"StatusCode":0,"Error":null}"#]))
            await client.wait(for: "\r\n\r\n")
            #expect(!client.text.contains("StatusCode"), "the head is there, so that the client goes on")
            await rig.inventory.apply(try InventoryTests.event("die", at: 5_000_000_000, ["exitCode": "3"]))
            #expect(try await client.response(method: "POST")?.json?["StatusCode"] == 3)
        }
    }

    @Test("A wait for anything but the removal is the engine's own answer")
    func otherWait() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            await rig.inventory.apply(try InventoryTests.event("die", at: 5_000_000_000, ["exitCode": "3"]))
            engine.answer = { _ in .raw(Self.chunked([#"{"StatusCode":0,"Error":null}"#])) }
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(
                try await client.call("POST", "/containers/web/wait?condition=not-running")?.json?["StatusCode"] == 0)
        }
    }

    @Test(
        "A pulled image is the caller's when the last line has its id, and not after that of a layer",
        arguments: [0, 1])
    func pull(line: Int) async throws {
        let lines = ["a1", "b2"].map {
            #"{"status":"Download complete","progressDetail":{},"id":"\#(String(repeating: $0, count: 6))"}"#
        }
        try await withGuard { rig, engine in
            engine.answer = { call in
                call.head.routePath == "/images/create"
                    ? .raw(Self.chunked([lines[1], lines[line]])) : .json(["Id": .string("sha256:\(Self.id)")])
            }
            let client = try await rig.connect()
            #expect(try await client.call("POST", "/images/create?fromImage=busybox&tag=1")?.status == 200)
            await engine.waitForPath("GET /images/busybox:1/json")
            #expect(try await client.call("GET", "/_ping")?.status == 200)
            let id = try #require(LayerDigest("sha256:\(Self.id)"))
            // The grant follows the engine's answer, and that has many tests at once to answer.
            let end = ContinuousClock.now + .seconds(20)
            while line == 0, !rig.desk.rights.has(id, rig.origin), ContinuousClock.now < end { await Task.yield() }
            #expect(rig.desk.rights.has(id, rig.origin) == (line == 0))
        }
    }

    @Test("An image is the caller's that was loaded without a name, or made of its container, whatever the words")
    func images() async throws {
        let made = String(repeating: "b2", count: 32)
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { call in
                switch call.head.routePath {
                case "/images/load": .json(["stream": .string("Loaded image: sha256:\(Self.id)")])
                // Without `sha256:`.
                case "/commit": .json(["Id": .string(made)], status: 201)
                default: .json(["message": "no"], status: 404)
                }
            }
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/images/load?quiet=1", body: "x")?.status == 200)
            #expect(try await client.call("POST", "/commit?container=web", body: "{}")?.status == 201)
            let ids = try [Self.id, made].map { try #require(LayerDigest("sha256:\($0)")) }
            #expect(ids.allSatisfy { rig.desk.rights.has($0, rig.origin) })
        }
    }
}
