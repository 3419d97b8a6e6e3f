import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor

@Suite("Containers that move with what they wrote", .timeLimit(.minutes(1)))
struct CarryingTests {
    private static let unnamed = "5a".repeated(32)

    /// What the first node's engine says of the container, and the second of itself.
    private final class There: Sendable {
        let container = Mutex<JSON>([:])
        let driver = Mutex("overlay2")
        let volumes = Mutex<[String]>([])
    }

    private static func container(_ more: JSON = [:]) -> JSON {
        var json: JSON = [
            "Id": .string(Rig.cloud), "Image": .string("sha256:" + "7".repeated(64)), "State": ["Paused": false],
            "GraphDriver": ["Name": "overlay2", "Data": ["UpperDir": "/upper"]],
            "Mounts": [
                ["Type": "volume", "Name": "data.edge1", "Destination": "/data", "Driver": "local", "RW": true],
                ["Type": "volume", "Name": .string(unnamed), "Destination": "/un", "Driver": "local", "RW": true],
                ["Type": "bind", "Source": "/x", "Destination": "/y"],
            ],
        ]
        for member in more.objectValue?.members ?? [] { json[member.key] = member.value }
        return json
    }

    private func with(_ body: @escaping @Sendable (Rig, There) async throws -> Void) async throws {
        try await Rig.with(engine: false) { rig in
            let there = There()
            there.container.withLock { $0 = Self.container() }
            let engines = ["1", "2"].map { number in
                FakeEngine(path: rig.folder.file("\(number).sock")) { request in
                    switch request.line {
                    case "GET /containers/\(Rig.cloud)/json": .json(there.container.withLock { $0 })
                    case "GET /info": .json(["Driver": .string(there.driver.withLock { $0 })])
                    case let line where line.hasPrefix("GET /volumes/"):
                        there.volumes.withLock { $0.contains(String(line.dropFirst("GET /volumes/".count))) }
                            ? .json([:]) : .json([:], status: 404)
                    case let line where line.hasPrefix("DELETE /volumes/"): .raw("HTTP/1.1 204 No Content\r\n\r\n")
                    default: .json([:], status: 404)
                    }
                }
            }
            for engine in engines { try await engine.start() }
            let first = try await rig.addNode("cloud1", enginePath: engines[0].path, route: "web")
            let second = try await rig.addNode("cloud2", enginePath: engines[1].path)
            try await body(rig, there)
            for node in [first, second] { await node.stop() }
            for engine in engines { await engine.stop() }
        }
    }

    private func refusal(_ rig: Rig) async throws -> String {
        let answer = try await rig.post("/lighter/move", #"{"Container":"web","Node":"cloud2","State":true}"#)
        #expect(answer.head.hasPrefix("HTTP/1.1 409"))
        return answer.body
    }

    @Test("A move that leaves its volume behind is refused, and says what takes it along")
    func bare() async throws {
        try await with { rig, _ in
            try await rig.useVolume("data")
            try await rig.keepAsked(#"{"Image":"busybox","HostConfig":{"Binds":["data:/data"]}}"#)
            let answer = try await rig.post("/lighter/move", #"{"Container":"web","Node":"cloud2"}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 409"))
            #expect(answer.body.contains("volume data is there: with `--with-state` it goes along"), "\(answer.body)")
        }
    }

    @Test("What it takes along are its volumes, with names or without; those without are named where it is made anew")
    func luggage() throws {
        let presentation = Presentation(origin: try NodeID("edge1"))
        let luggage = Luggage(Self.container(), .random(), presentation.name)
        #expect(luggage.names == ["data", Self.unnamed])
        let asked: JSON = [
            "Volumes": ["/un": [:]],
            "HostConfig": ["Binds": ["data:/data", "/un"], "Mounts": [["Type": "volume", "Target": "/un"]]],
        ]
        let made = asked.withVolumes(luggage.volumes)
        #expect(made["HostConfig"]?["Binds"] == ["data:/data"])
        #expect(
            made["HostConfig"]?["Mounts"] == [
                ["Type": "volume", "Source": .string(Self.unnamed), "Target": "/un", "ReadOnly": false]
            ])
        #expect(asked.withVolumes([]) == asked)
        let unfilled = made.withoutFilling(["data", Self.unnamed])
        #expect(unfilled["HostConfig"]?["Binds"] == ["data:/data:nocopy"])
        #expect(unfilled["HostConfig"]?["Mounts"]?[0]?["VolumeOptions"] == ["NoCopy": true])
    }

    @Test("What cannot travel is refused before anything is done, in words that say what to do")
    func refusals() async throws {
        try await with { rig, there in
            there.driver.withLock { $0 = "vfs" }
            #expect(try await refusal(rig).contains("only with overlay2"))
            there.driver.withLock { $0 = "overlay2" }
            there.volumes.withLock { $0 = ["data"] }
            #expect(try await refusal(rig).contains("cloud2 has a volume data already"))
            there.volumes.withLock { $0 = [] }
            there.container.withLock { $0 = Self.container(["State": ["Paused": true]]) }
            #expect(try await refusal(rig).contains("docker unpause"))
            let nfs: JSON = [["Type": "volume", "Name": "data.edge1", "Destination": "/data", "Driver": "nfs"]]
            there.container.withLock { $0 = Self.container(["Mounts": nfs]) }
            #expect(try await refusal(rig).contains("volume data is of driver nfs"))
            there.container.withLock { $0 = Self.container(["GraphDriver": ["Name": "overlayfs", "Data": .null]]) }
            #expect(try await refusal(rig).contains("node cloud1 keeps what containers write out of reach"))
            there.container.withLock { $0 = Self.container() }
            try await rig.share("data", with: "other")
            #expect(try await refusal(rig).contains("volume data is used by other, too"))
            try await rig.removeItself()
            #expect(try await refusal(rig).contains("--rm"))
        }
    }

    @Test("Copies that were not ended with are removed, and the volume itself never is")
    func strays() async throws {
        try await with { rig, _ in
            let left = try await rig.sweep(
                home: "cloud1",
                strays: [("data", "cloud1"), ("data", "cloud2"), ("lighter-layer-1", "cloud2"), ("data", "edge1")])
            // The device has no engine that could be asked.
            #expect(left == ["data edge1"])
        }
    }

    @Test("After a crash in the middle, a volume is where the container is that has it")
    func adoption() async throws {
        try await with { rig, _ in
            for home in ["cloud2", "edge1"] {
                let found = try await rig.adopt("data", from: home, by: "cloud1")
                #expect(found == ["cloud1", "data \(home)"])
            }
        }
    }
}

extension CarryingTests {
    @Test(
        "What a daemon has stopped for a move, the next one starts, once the stop has come to its end",
        arguments: [0, 2])
    func halts(looks: Int) async throws {
        let folder = try ScratchFolder()
        try await Rig.halt(in: folder.file("journal.db"))
        try await Rig.with(engine: false, journal: folder.file("journal.db")) { rig in
            let (starts, told) = AsyncStream<Void>.makeStream()
            let left = Mutex(looks)
            let engine = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /containers/\(Rig.cloud)/start":
                    #expect(left.withLock { $0 } < 0)
                    told.yield()
                    return .raw("HTTP/1.1 204 No Content\r\n\r\n")
                case "GET /containers/\(Rig.cloud)/json":
                    let isRunning = left.withLock { left in
                        left -= 1
                        return left >= 0
                    }
                    return .json(Self.container(["State": ["Running": .bool(isRunning)]]))
                default: return .json([:], status: 500)
                }
            }
            try await engine.start()
            let node = try await rig.addNode("cloud1", enginePath: engine.path)
            for await _ in starts { break }
            while try await !rig.hasNoHalt() { await Task.yield() }
            await node.stop()
            await engine.stop()
        }
    }
}

extension CarryingTests {
    @Test(
        "What was moved, and whose start was not answered, is started once at the most",
        arguments: ["created", "exited"], [Journal.Stage.made, .given])
    func unanswered(status: String, stage: Journal.Stage) async throws {
        let folder = try ScratchFolder()
        // A daemon may also have ended before it wrote down that the move was over.
        try await Rig.halt(in: folder.file("journal.db"), stage, epoch: stage == .made ? 1 : 0)
        try await Rig.with(engine: false, journal: folder.file("journal.db")) { rig in
            let engine = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /containers/\(Rig.cloud)/start": .raw("HTTP/1.1 204 No Content\r\n\r\n")
                case "GET /containers/\(Rig.cloud)/json": .json(Self.container(["State": ["Status": .string(status)]]))
                default: .json([:], status: 500)
                }
            }
            try await engine.start()
            let node = try await rig.addNode("cloud1", enginePath: engine.path)
            while try await !rig.hasNoHalt() { await Task.yield() }
            let starts = engine.requests.count { $0.line.hasSuffix("/start") }
            #expect(starts == (status == "created" ? 1 : 0))
            await node.stop()
            await engine.stop()
        }
    }
}

extension CarryingTests {
    @Test(
        "What a daemon kept its engine from starting has its policy back, before it is started if it ran",
        arguments: [true, false])
    func restarts(ran: Bool) async throws {
        let folder = try ScratchFolder()
        try await Rig.halt(in: folder.file("journal.db"), ran ? .stopped : nil, isUnrestarted: true)
        try await Rig.with(engine: false, journal: folder.file("journal.db")) { rig in
            let engine = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /containers/\(Rig.cloud)/start": .raw("HTTP/1.1 204 No Content\r\n\r\n")
                case "POST /containers/\(Rig.cloud)/update": .json(["Warnings": []])
                case "GET /containers/\(Rig.cloud)/json": .json(Self.container(["State": ["Status": "exited"]]))
                default: .json([:], status: 500)
                }
            }
            try await engine.start()
            let node = try await rig.addNode("cloud1", enginePath: engine.path)
            while try await !rig.hasNoHalt() { await Task.yield() }
            let told = engine.requests.filter { $0.line.hasPrefix("POST /containers/\(Rig.cloud)") }
            #expect(told.map { $0.line.split(separator: "/").last } == (ran ? ["update", "start"] : ["update"]))
            let policy = try JSON.parse(told[0].body)["RestartPolicy"]
            #expect(policy == ["Name": "on-failure", "MaximumRetryCount": 3])
            await node.stop()
            await engine.stop()
        }
    }
}

extension Rig {
    /// Leaves a journal as a daemon does that ends while a container is stopped for a move.
    @NodeLoop
    fileprivate static func halt(
        in path: String, _ stage: Journal.Stage? = .stopped, epoch: UInt64 = 1, isUnrestarted: Bool = false
    ) throws {
        let journal = try Journal(path: path)
        try journal.put(
            Route(
                containerID: cloud, name: "web", workload: .random(), epoch: 1, target: try NodeID("cloud1"),
                ticket: Array("ticket".utf8), ticketRenewal: 4e9, image: "busybox", imageID: "sha256:1",
                hasTerminal: false, removesItself: false, createdAt: 1))
        if let stage { try journal.put(Journal.Halt(container: cloud, epoch: epoch, stage: stage)) }
        guard isUnrestarted else { return }
        try journal.put(Journal.Unrestarted(container: cloud, epoch: 1, policy: "on-failure", retries: 3))
    }

    @NodeLoop
    fileprivate func hasNoHalt() throws -> Bool {
        try routes.journal.halts().isEmpty && routes.journal.unrestarted().isEmpty
    }

    @NodeLoop
    fileprivate func share(_ volume: String, with name: String) throws {
        try addRoute("b".repeated(64), name)
        guard var route = routes["b".repeated(64)] else { return }
        route.volumes = [volume]
        try routes.put(route)
    }

    @NodeLoop
    fileprivate func useVolume(_ volume: String) throws {
        guard var route = routes[Self.cloud] else { return }
        route.volumes = [volume]
        try routes.put(route)
    }

    @NodeLoop
    fileprivate func keepAsked(_ body: String) throws {
        let head = "POST /containers/create?name=web HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\r\n"
        try routes.journal.putAsked(Self.cloud, head: ByteBuffer(string: head), body: ByteBuffer(string: body))
    }

    @NodeLoop
    fileprivate func removeItself() throws {
        guard var route = routes[Self.cloud] else { return }
        route.removesItself = true
        try routes.put(route)
    }

    /// What is left of strays once they were swept.
    @NodeLoop
    fileprivate func sweep(home: String, strays: [(String, String)]) async throws -> [String] {
        try door.volumes.put(.away(try NodeID(home), ["Name": "data"]), for: "data")
        for (volume, node) in strays { try routes.journal.put(.init(volume: volume, node: try NodeID(node))) }
        for stray in try routes.journal.strays() { try? await door.removeStray(stray) }
        #expect(door.volumes["data"]?.node?.name == home)
        return try routes.journal.strays().map { "\($0.volume) \($0.node)" }.sorted()
    }

    /// Where a volume is after a start, and its strays.
    @NodeLoop
    fileprivate func adopt(_ volume: String, from home: String, by node: String) async throws -> [String] {
        let isAway = home != door.control.node.name
        try door.volumes.put(isAway ? .away(try NodeID(home), ["Name": .string(volume)]) : nil, for: volume)
        guard var route = routes[Self.cloud] else { return [] }
        route.volumes = [volume]
        try routes.put(route)
        try routes.journal.put(.init(volume: volume, node: try NodeID(node)))
        await door.adoptStrays()
        let strays = try routes.journal.strays().filter { $0.node.name == home }
        return [door.volumes[volume]?.node?.name ?? ""] + strays.map { "\($0.volume) \($0.node)" }
    }
}
