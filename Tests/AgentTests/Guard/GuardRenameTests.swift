import DockerAPI
import Engine
import Fleet
import Synchronization
import Testing

@testable import Agent

@Suite("A new name for a container of another node's")
@NodeLoop
struct GuardRenameTests {
    static let id = GuardCreateTests.id
    static let twin = GuardObjectsTests.twin

    static func script(_ refusing: String? = nil) -> @NodeLoop (FakeEngine.Call) -> FakeEngine.Answer {
        let hasRefused = Mutex(false)
        return { call in
            let path = call.head.routePath
            if let refusing, path.hasSuffix(refusing),
                hasRefused.withLock({ refused in
                    defer { refused = true }
                    return !refused
                })
            {
                return .json(["message": "Conflict. web.edge1 is in the way"], status: 409)
            }
            switch path {
            case "/networks/\(twin)": return .json(GuardObjectsTests.owned(by: "edge1"))
            case "/containers/\(id)/json":
                return .json([
                    "Id": .string(id),
                    "NetworkSettings": [
                        "Networks": [
                            "app.edge1": [
                                "NetworkID": .string(twin), "IPAMConfig": ["IPv4Address": "10.9.0.7"], "Links": .null,
                                "Aliases": ["store", "web", .string(String(id.prefix(12)))],
                            ],
                            "bridge": ["NetworkID": "b", "Aliases": .null],
                        ]
                    ],
                ])
            case let path where path.hasSuffix("/rename"): return .raw("HTTP/1.1 204 No Content\r\n\r\n")
            case let path where path.hasSuffix("connect"): return .json([:])
            default: return .json([:], status: 404)
            }
        }
    }

    @Test("is an alias in its own networks instead of the old one; all else stays")
    func alias() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script()
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/v1.41/containers/web/rename?name=shop")?.status == 204)
            let changes = engine.calls.filter { $0.head.method == "POST" }
            #expect(
                changes.map(\.head.target) == [
                    "/v1.41/containers/\(Self.id)/rename?name=shop.edge1", "/networks/\(Self.twin)/disconnect",
                    "/networks/\(Self.twin)/connect",
                ])
            #expect(
                changes.last?.json?["EndpointConfig"] == [
                    "Aliases": ["store", "shop"], "IPAMConfig": ["IPv4Address": "10.9.0.7"],
                ])
            #expect(try await client.call("GET", "/_ping")?.status == 404, "the connection goes on")
        }
    }

    @Test("that the engine refuses changes nothing, and is refused in its words")
    func refused() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script("/rename")
            let client = try await rig.connect(ticket: rig.ticket())
            let answer = try await client.call("POST", "/containers/web/rename?name=shop")
            #expect(answer?.status == 409)
            #expect(answer?.message == "Conflict. web.edge1 is in the way")
            #expect(!engine.paths().contains { $0.hasSuffix("connect") })
        }
    }

    @Test("does not cost it its network when joining fails once")
    func again() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script("/connect")
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/containers/web/rename?name=shop")?.status == 204)
            #expect(engine.paths().filter { $0.hasSuffix("/connect") }.count == 2)
        }
    }

    static func event(_ type: String, _ action: String, container: String, at nanos: Int64 = 1) -> String {
        #"{"Type":"\#(type)","Action":"\#(action)","Actor":{"ID":"x","Attributes":{"container":"\#(container)"}},"timeNano":\#(nanos)}"#
    }

    /// What the caller sees of these events, by their actions.
    private func seen(_ rig: GuardRig, _ engine: FakeEngine, _ lines: [String], filters: String = "") async throws
        -> [String]
    {
        let body = lines.map { "\(String($0.utf8.count + 1, radix: 16))\r\n\($0)\n\r\n" }.joined()
        engine.answer = { _ in .raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(body)0\r\n\r\n") }
        let client = try await rig.connect()
        let answer = try #require(try await client.call("GET", "/events?filters=\(filters)"))
        return answer.body.split(separator: "\n").compactMap {
            (try? JSON.parse(Array($0.utf8)))?["Action"]?.stringValue
        }
    }

    @Test("is no coming and going to those who follow its networks")
    func quiet() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script()
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/containers/web/rename?name=shop")?.status == 204)
            let then = Int64(GuardRig.now * 1e9)
            let lines = [
                Self.event("network", "disconnect", container: Self.id, at: then),
                Self.event("network", "connect", container: Self.id, at: then + 1000),
                Self.event("network", "later", container: Self.id, at: then + 5_000_000_000),
            ]
            #expect(try await seen(rig, engine, lines) == ["later"])
        }
    }

    @Test(
        "Networks and volumes are told of as far as a container of the caller's joins or leaves them, also one that is gone"
    )
    func objects() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let other = String(repeating: "c", count: 64)
            let lines = [
                Self.event("network", "connect", container: Self.id), Self.event("network", "theirs", container: other),
                Self.event("volume", "mount", container: Self.id), Self.event("image", "pull", container: Self.id),
                #"{"Type":"volume","Action":"create","Actor":{"ID":"x","Attributes":{"driver":"local"}}}"#,
            ]
            #expect(try await seen(rig, engine, lines) == ["connect", "mount"])
            let query = DockerPath.parse(method: "GET", target: try #require(engine.calls.last).head.target).query
            #expect(try query.filters().values("label").isEmpty, "such events have no labels")
            await rig.inventory.apply(try InventoryTests.event("destroy", at: 6_000_000_000))
            #expect(try await seen(rig, engine, lines) == ["connect", "mount"])
            let ofContainers = "%7B%22type%22%3A%5B%22container%22%5D%7D"
            #expect(try await seen(rig, engine, lines, filters: ofContainers) == [])
            let asked = DockerPath.parse(method: "GET", target: try #require(engine.calls.last).head.target).query
            #expect(try asked.filters().values("label").count == 2)
        }
    }
}
