import DockerAPI
import Engine
import Fleet
import Glibc
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor

/// With a node whose containers get a volume that nobody has named.
@Suite("Volumes without names elsewhere", .timeLimit(.minutes(1)))
struct AnonymousVolumeTests {
    static let volume = "5a".repeated(32)
    static let container = "1".repeated(64)

    /// What the node's engine has.
    final class There: Sendable {
        let volumes = Mutex<Set<String>>([AnonymousVolumeTests.volume])
        let containers = Mutex<Set<String>>([AnonymousVolumeTests.container])
    }

    private func with(
        journal: String? = nil,
        _ body: @escaping @Sendable (Rig, _ there: There, _ here: FakeEngine, _ away: FakeEngine) async throws -> Void
    ) async throws {
        try await Rig.with(journal: journal) { rig in
            let there = There()
            let here = FakeEngine(path: rig.enginePath) { request in
                switch request.line {
                case "GET /images/busybox/json": .json(["Id": .string("sha256:" + "7".repeated(64)), "Size": 1])
                case "GET /volumes": .json(["Volumes": [["Name": "here", "Labels": .null]], "Warnings": .null])
                case "POST /volumes/prune": .json(["VolumesDeleted": .null, "SpaceReclaimed": 5])
                case "GET /containers/json", "GET /networks": .json([])
                case "GET /events": .raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                default: .json([:], status: 404)
                }
            }
            let away = FakeEngine(path: rig.folder.file("1.sock")) { Self.answer($0, there) }
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
            try await body(rig, there, here, away)
            await node.stop()
            for engine in [here, away] { await engine.stop() }
        }
    }

    private static func answer(_ request: FakeEngine.Request, _ there: There) -> FakeEngine.Answer {
        let query = DockerPath.parse(method: request.head.method, target: request.head.target).query
        switch request.line {
        case "POST /containers/create": return .json(["Id": .string(container), "Warnings": []], status: 201)
        case "GET /containers/\(container)/json":
            guard there.containers.withLock({ $0.contains(container) }) else { return .json([:], status: 404) }
            return .json([
                "Id": .string(container), "Name": "/web.edge1",
                "Mounts": [["Type": "volume", "Name": .string(volume)], ["Type": "bind", "Source": "/x"]],
            ])
        case "GET /volumes/\(volume)":
            guard there.volumes.withLock({ $0.contains(volume) }) else { return .json([:], status: 404) }
            return .json(["Name": .string(volume), "Driver": "local", "Labels": .null])
        case "DELETE /volumes/\(volume)":
            there.volumes.withLock { $0 = [] }
            return .raw("HTTP/1.1 204 No Content\r\n\r\n")
        case "DELETE /containers/\(container)":
            there.containers.withLock { $0 = [] }
            if query.flag("v") { there.volumes.withLock { $0 = [] } }
            return .raw("HTTP/1.1 204 No Content\r\n\r\n")
        case "GET /system/df": return .json(["Volumes": [["Name": .string(volume), "UsageData": ["Size": 37]]]])
        case "GET /containers/json": return .json([])
        default: return .json([:], status: 404)
        }
    }

    private static let body = #"{"Image":"busybox","Volumes":{"/data":{}}}"#

    private func names(_ rig: Rig, _ query: String = "") async throws -> [String] {
        let report = try JSON.parse(Array(try await rig.get("/v1.41/volumes\(query)").body.utf8))
        return (report["Volumes"]?.arrayValue ?? []).compactMap { $0["Name"]?.stringValue }
    }

    private func remove(_ rig: Rig, _ query: String = "") async throws {
        let request = "DELETE /v1.41/containers/web\(query) HTTP/1.1\r\nHost: d\r\n\r\n"
        #expect(try await rig.ask(request).head.hasPrefix("HTTP/1.1 204 "))
    }

    @Test("are listed and inspected, and go with their container if it is removed so")
    func removed() async throws {
        try await with { rig, _, _, _ in
            #expect(try await rig.post("/v1.41/containers/create?name=web", Self.body).head.contains(" 201 "))
            #expect(try await names(rig) == [Self.volume, "here"])
            #expect(try await rig.get("/v1.41/volumes/\(Self.volume)").body.contains("cloud1"))
            let dangling = "?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"
            #expect(try await !names(rig, dangling).contains(Self.volume))
            try await remove(rig, "?v=1")
            #expect(try await names(rig) == ["here"])
        }
    }

    @Test("stay behind otherwise, over a restart, until they are removed or pruned", arguments: ["rm", "prune"])
    func kept(verb: String) async throws {
        let folder = try ScratchFolder()
        try await with(journal: folder.file("journal.db")) { rig, there, _, _ in
            _ = try await rig.post("/v1.41/containers/create?name=web", Self.body)
            try await remove(rig)
            #expect(there.volumes.withLock { $0.count } == 1)
            #expect(try await names(rig) == [Self.volume, "here"])
        }
        try await with(journal: folder.file("journal.db")) { rig, there, _, _ in
            #expect(try await names(rig) == [Self.volume, "here"])
            if verb == "rm" {
                let request = "DELETE /v1.41/volumes/\(Self.volume) HTTP/1.1\r\nHost: d\r\n\r\n"
                #expect(try await rig.ask(request).head.hasPrefix("HTTP/1.1 204 "))
            } else {
                let report = try JSON.parse(Array(try await rig.post("/v1.42/volumes/prune").body.utf8))
                #expect(report["VolumesDeleted"] == [.string(Self.volume)])
                #expect(report["SpaceReclaimed"] == 42)
            }
            #expect(there.volumes.withLock { $0.isEmpty })
            #expect(try await names(rig) == ["here"])
        }
    }

    @Test("are told of as they come and go")
    func events() async throws {
        try await with { rig, _, _, _ in
            _ = try await rig.post("/v1.41/containers/create?name=web", Self.body)
            try await remove(rig, "?v=1")
            var moment = timespec()
            clock_gettime(CLOCK_REALTIME, &moment)
            let until = "\(Double(moment.tv_sec) + Double(moment.tv_nsec) / 1e9)"
            let seen = try await rig.get("/v1.41/events?since=1&until=\(until)").body
            let events = Rig.documents(seen)
            #expect(events.map { $0["Action"] } == ["create", "destroy"])
            #expect(events.allSatisfy { $0["Type"] == "volume" && $0["Actor"]?["ID"] == .string(Self.volume) })
            let other = "&filters=%7B%22type%22%3A%5B%22container%22%5D%7D"
            #expect(try await !rig.get("/v1.41/events?since=1&until=\(until)\(other)").body.contains("volume"))
        }
    }

    @Test("that a container elsewhere cannot bring are not asked for")
    func none() async throws {
        try await with { rig, _, _, away in
            _ = try await rig.post("/v1.41/containers/create?name=web", #"{"Image":"busybox"}"#)
            #expect(!away.requests.contains { $0.line == "GET /volumes/\(Self.volume)" })
        }
    }
}
