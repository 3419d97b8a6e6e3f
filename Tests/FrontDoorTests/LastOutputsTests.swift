import DockerAPI
import Engine
import Fleet
import Foundation
import LighterTesting
import NIOCore
import Synchronization
import Testing

@testable import FrontDoor

@Suite("What a container elsewhere wrote last", .timeLimit(.minutes(1)))
struct LastOutputsTests {
    /// A device with the mounted folder `data`, and a node with its mirror and what its engine says of the container.
    private struct Scene: Sendable {
        let rig: Rig
        let node: FakeNode
        let states: Listed

        func device(_ name: String) -> String { rig.folder.file("data/\(name)") }
        func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: device(name)) }
        func write(_ name: String) throws {
            try Data("x".utf8).write(to: URL(filePath: rig.folder.file("mirror/\(name)")))
        }

        @NodeLoop
        func put(_ state: String) { rig.door.lastStates[Rig.cloud] = state }

        @NodeLoop
        func route() throws -> Route { try #require(rig.routes[Rig.cloud]) }

        func comeBack() async throws {
            let again = try await FakeNode(
                path: rig.folder.file("again.link"), enginePath: rig.folder.file("1.sock"),
                mirror: rig.folder.file("mirror"))
            rig.plane.put(again.link, to: try NodeID("cloud1"))
        }
    }

    /// What the engine lists; nil for nothing.
    private final class Listed: Sendable {
        private let value = Mutex<String?>("running")
        var now: String? {
            get { value.withLock(\.self) }
            set { value.withLock { $0 = newValue } }
        }
    }

    private func with(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await Rig.with(mounts: .kibibytes(4)) { rig in
            let state = Listed()
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                let now = state.now
                return switch request.line {
                case "GET /events": .stream
                case "GET /containers/json":
                    .json(
                        now.map {
                            [["Id": .string(Rig.cloud), "Names": ["/web.edge1"], "State": .string($0), "Created": 1]]
                        } ?? [])
                case "POST /containers/\(Rig.cloud)/stop", "POST /containers/\(Rig.cloud)/start",
                    "DELETE /containers/\(Rig.cloud)":
                    .raw("HTTP/1.1 204 No Content\r\n\r\n")
                default: .json(["message": "no"], status: 404)
                }
            }
            try await away.start()
            for folder in ["data", "mirror"] {
                try FileManager.default.createDirectory(
                    atPath: rig.folder.file(folder), withIntermediateDirectories: false)
            }
            let node = try await rig.addNode(
                enginePath: away.path, route: "web", mirror: rig.folder.file("mirror"))
            try await rig.mount(rig.folder.file("data"))
            try await body(Scene(rig: rig, node: node, states: state))
            await node.stop()
            await away.stop()
        }
    }

    @Test("A node that is out of reach is tried without end, one that is there eight times in a row")
    func tries() {
        var tries = OutputTries()
        for _ in 0..<100 { #expect(tries.pause(afterFailureOutOfReach: true) ?? 9 <= 8) }
        for _ in 0..<7 { #expect(tries.pause(afterFailureOutOfReach: false) == 8) }
        #expect(tries.pause(afterFailureOutOfReach: true) == 8)
        for _ in 0..<7 { #expect(tries.pause(afterFailureOutOfReach: false) == 8) }
        #expect(tries.pause(afterFailureOutOfReach: false) == nil)
    }

    @Test("Whoever waits for the end is held until the node is back, unless they go away")
    func held() async throws {
        try await with { scene in
            let (door, route) = (scene.rig.door, try await scene.route())
            try scene.write("result")
            await scene.node.stop()
            await door.containerEnded(route, exitCode: 0, patience: .milliseconds(1))
            let gone = Task { await door.containerEnded(route, exitCode: 0) }
            gone.cancel()
            await gone.value
            #expect(!scene.has("result"))
            try await scene.comeBack()
            await door.containerEnded(route, exitCode: 0)
            #expect(scene.has("result"))
        }
    }

    @Test(
        "A stop waits for the outputs of a container that has run, as far as is known",
        arguments: ["paused", "running"])
    func stop(state: String) async throws {
        try await with { scene in
            await scene.put(state)
            try scene.write("result")
            #expect(try await scene.rig.post("/containers/web/stop").head.hasPrefix("HTTP/1.1 204"))
            #expect(scene.has("result"))
        }
    }

    @Test("A start counts before its engine's event is heard; one that never ran has nothing to wait for")
    func justStarted() async throws {
        try await with { scene in
            await scene.put("created")
            try scene.write("early")
            #expect(try await scene.rig.post("/containers/web/stop").head.hasPrefix("HTTP/1.1 204"))
            #expect(!scene.has("early"))
            #expect(try await scene.rig.post("/containers/web/start").head.hasPrefix("HTTP/1.1 204"))
            try scene.write("result")
            #expect(try await scene.rig.post("/containers/web/stop").head.hasPrefix("HTTP/1.1 204"))
            #expect(scene.has("result"))
        }
    }

    @Test("Those of a container that its node does not have any more are home before it is forgotten")
    func vanished() async throws {
        try await with { scene in
            try scene.write("result")
            scene.states.now = nil
            await scene.put("running")
            try await scene.rig.follow("cloud1")
            while await scene.rig.routes[Rig.cloud] != nil { try await Task.sleep(for: .milliseconds(2)) }
            #expect(scene.has("result"))
        }
    }

    @Test("The bound of what leaves the device is for a first start, not for what the container wrote")
    func bound() async throws {
        try await with { scene in
            try Data(repeating: 1, count: 5000).write(to: URL(filePath: scene.device("large")))
            await scene.put("created")
            let refused = try await scene.rig.post("/containers/web/start")
            #expect(refused.head.hasPrefix("HTTP/1.1 500") && refused.body.contains("holds more"))
            await scene.put("exited")
            #expect(try await scene.rig.post("/containers/web/start").head.hasPrefix("HTTP/1.1 204"))
        }
    }
}

extension Rig {
    /// Mounts a folder of the device in the container behind `addNode`'s route, as for an earlier run.
    @NodeLoop
    fileprivate func mount(_ folder: String) async throws {
        guard var route = routes[Self.cloud] else { return }
        route.mounts = [MirroredMount(source: folder, target: "/data", isFile: false)]
        try routes.put(route)
        try await door.synchroniseMounts(of: route)
        door.leaveMounts(of: route)
    }
}
