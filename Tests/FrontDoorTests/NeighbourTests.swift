import Compression
import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Placement
import Session
import Synchronization
import Testing

@testable import FrontDoor
@testable import Images

/// A device with an image, and two nodes of one site; what runs goes to the node of its name's beginning.
private final class NeighbourScene: Sendable {
    enum Fetching { case works, fails, hangs, breaks }

    struct State {
        var offers: [JSON] = []
        var fetches: [JSON] = []
        var fetching = Fetching.works
        var gives = true
        /// Loads at the first node that wait for their answer.
        var held: [any Channel] = []
    }

    static let image = TestImage(
        "first", [String(repeating: "base", count: 4), "libs", "one"], size: 6 << 20)
    static let sizes = Dictionary(
        uniqueKeysWithValues: zip(image.diffIDs, image.layers).map { ($0, Int64($1.count)) })

    let rig: Rig
    let source = TestTarget([image], manner: .compressing)
    let target = TestTarget([image], manner: .compressing)
    let state = Mutex(State())

    private init(_ rig: Rig) { self.rig = rig }

    static func with(
        hasImage: Bool = true, _ body: @escaping @Sendable (NeighbourScene) async throws -> Void
    ) async throws {
        try await Rig.with { rig in
            let scene = NeighbourScene(rig)
            let here = FakeEngine(path: rig.enginePath) { request in
                let names = ["first", image.id]
                if hasImage, names.contains(where: { request.line == "GET /images/\($0)/json" }) {
                    return .json(image.inspection)
                }
                if hasImage, request.line == "GET /images/\(image.id)/get" { return image.archive() }
                return .json(["message": "no"], status: 404)
            }
            let one = FakeEngine(path: rig.folder.file("1.sock"), script: scene.source.script)
            let other = FakeEngine(path: rig.folder.file("2.sock"), script: scene.target.script)
            for engine in [here, one, other] { try await engine.start() }
            let nodes = [
                try await rig.addNode(enginePath: one.path), try await rig.addNode("cloud2", enginePath: other.path),
            ]
            var snapshot = rig.plane.snapshot
            for index in snapshot.nodes.indices { snapshot.nodes[index].tags = ["site=there"] }
            rig.plane.snapshot = snapshot
            rig.plane.govern(.remote)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote,
                        target: try? NodeID(String(request.name.split(separator: "-")[0])), reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            scene.source.state.withLock { state in
                state.kept = [:]
                state.hook = { scene.atSource($0) }
            }
            scene.target.state.withLock { state in
                state.kept = [:]
                state.hook = { scene.atTarget($0) }
            }
            try await body(scene)
            for node in nodes { await node.stop() }
            for engine in [here, one, other] { await engine.stop() }
        }
    }

    private func atSource(_ request: FakeEngine.Request) -> FakeEngine.Answer? {
        guard request.line == "POST /lighter/offer" else { return nil }
        let asked = (try? JSON.parse(request.body)) ?? .null
        return state.withLock { state in
            state.offers.append(asked)
            guard state.gives else { return .json(["message": "give_layers is false"], status: 403) }
            return .json(["Layers": asked["ChainIDs"] ?? [], "Word": "secret"])
        }
    }

    private func atTarget(_ request: FakeEngine.Request) -> FakeEngine.Answer? {
        guard request.line == "POST /lighter/fetch" else { return nil }
        let asked = (try? JSON.parse(request.body)) ?? .null
        let layers = asked["Layers"]?.arrayValue ?? []
        let manner = state.withLock { state in
            state.fetches.append(asked)
            return state.fetching
        }
        let first = layers.first ?? .null
        let progress = #"{"Layer":\#(first.text),"Got":10,"Size":20}"# + "\n"
        switch manner {
        case .works:
            target.state.withLock { state in
                for layer in layers.compactMap({ $0.stringValue.flatMap { LayerDigest($0) } }) {
                    state.kept?[layer] = Self.sizes[layer]
                }
            }
            return lines(progress + #"{"Arrived":\#(JSON.array(layers).text),"Passed":[],"Bytes":100}"# + "\n")
        case .fails: return lines(#"{"Arrived":[],"Passed":[],"Bytes":0,"Error":"refused"}"# + "\n")
        case .hangs: return .silence
        case .breaks: return .rawThenClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\(progress)")
        }
    }

    private func lines(_ text: String) -> FakeEngine.Answer {
        .raw("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
    }

    /// Keeps the first node's engine from answering loads until they are released.
    func holdLoads() {
        source.state.withLock { state in
            state.hook = { [self] request in
                guard request.line == "POST /images/load" else { return atSource(request) }
                return .hand { channel in self.state.withLock { $0.held.append(channel) } }
            }
        }
    }

    func releaseLoads() {
        source.state.withLock { _ = $0.images.insert(Self.image.id) }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"stream\": \"Loaded\"}"
        for channel in state.withLock({ $0.held }) { channel.writeAndFlush(ByteBuffer(string: answer), promise: nil) }
    }

    func run(_ name: String, headers: String = "") async throws -> (head: String, body: String) {
        try await rig.post("/containers/create?name=\(name)", #"{"Image":"first"}"#, headers: headers)
    }

    /// What travelled to the second node: of each load, how much of each layer was left out.
    var marks: [[Int64]] { target.state.withLock { $0.marks } }
    static var whole: [Int64] { image.diffIDs.compactMap { sizes[$0] } }
    static let none: [Int64] = [0, 0, 0]
}

@Suite("Layers from neighbours", .timeLimit(.minutes(1)))
struct NeighbourTests {
    private typealias Scene = NeighbourScene

    private func expectAway(_ scene: NeighbourScene, _ name: String) async throws {
        let answer = try await scene.run(name)
        #expect(answer.body.contains("1111"), "\(answer)")
    }

    @Test("A second node gets them from the first, and nothing but the rest travels from the device")
    func second() async throws {
        try await Scene.with { scene in
            try await expectAway(scene, "cloud1-a")
            #expect(scene.source.state.withLock { $0.marks } == [Scene.none])
            try await expectAway(scene, "cloud2-a")
            #expect(scene.marks == [Scene.whole])
            #expect(scene.target.state.withLock { $0.bytes[0] } < 5000)
            let (offers, fetches) = scene.state.withLock { ($0.offers, $0.fetches) }
            #expect(offers.count == 1 && offers[0]["To"] == "cloud2")
            #expect(Set(offers[0]["ChainIDs"]?.arrayValue ?? []).count == 3)
            #expect(fetches.count == 1 && fetches[0]["From"] == "cloud1" && fetches[0]["Word"] == "secret")
            let asked = Set(fetches[0]["Layers"]?.arrayValue?.compactMap(\.stringValue) ?? [])
            #expect(asked == Set(Scene.image.diffIDs.map { "\($0)" }))
        }
    }

    @Test("The client's pull says where they come from, and why")
    func progress() async throws {
        try await Scene.with { scene in
            try await expectAway(scene, "cloud1-a")
            let headers = "User-Agent: Docker-Client/28\r\n"
            #expect(try await scene.run("cloud2-a", headers: headers).head.hasPrefix("HTTP/1.1 404 "))
            let pull = try await scene.rig.post("/images/create?fromImage=first&tag=latest")
            #expect(pull.body.contains("Layers come from cloud1: it is at the same site, there"), "\(pull)")
            #expect(pull.body.components(of: "Pull complete") == 3, "\(pull)")
            #expect(!pull.body.contains("errorDetail"))
            try await expectAway(scene, "cloud2-a")
        }
    }

    @Test("Whatever goes wrong with that, the device sends the image, and no client hears of it")
    func fallback() async throws {
        for fetching in [NeighbourScene.Fetching.fails, .hangs, .breaks] {
            try await Scene.with { scene in
                await scene.setPatience(.milliseconds(100))
                scene.state.withLock { $0.fetching = fetching }
                try await expectAway(scene, "cloud1-a")
                try await expectAway(scene, "cloud2-a")
                #expect(scene.marks == [Scene.none], "\(fetching)")
                #expect(scene.state.withLock { $0.fetches.count } == 1)
            }
        }
        try await Scene.with { scene in
            scene.state.withLock { $0.gives = false }
            try await expectAway(scene, "cloud1-a")
            try await expectAway(scene, "cloud2-a")
            #expect(scene.marks == [Scene.none])
            #expect(scene.state.withLock { $0.fetches.isEmpty })
        }
    }

    @Test("A neighbour that is no nearer than the device is not asked, nor for what is little")
    func notWorthIt() async throws {
        try await Scene.with { scene in
            var snapshot = scene.rig.plane.snapshot
            for index in snapshot.nodes.indices { snapshot.nodes[index].tags = [] }
            scene.rig.plane.snapshot = snapshot
            try await expectAway(scene, "cloud1-a")
            try await expectAway(scene, "cloud2-a")
            #expect(scene.state.withLock { $0.offers.isEmpty })
        }
        try await Scene.with { scene in
            scene.target.has(Scene.image, layers: 3)
            try await expectAway(scene, "cloud1-a")
            _ = try await scene.run("cloud2-a")
            #expect(scene.state.withLock { $0.offers.isEmpty })
        }
    }

    @Test("Of two nodes that need it at once the second waits for the first, and gets them there")
    func together() async throws {
        try await Scene.with { scene in
            scene.holdLoads()
            async let one = scene.run("cloud1-a")
            while scene.state.withLock({ $0.held.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
            async let other = scene.run("cloud2-a")
            while await scene.shipments() < 2 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(scene.marks.isEmpty)
            scene.releaseLoads()
            #expect(try await one.body.contains("1111"))
            #expect(try await other.body.contains("1111"))
            #expect(scene.marks == [Scene.whole])
        }
    }

    @Test("A client that has pulled is not asked to pull again, though it was shown the other node's pull")
    func pulledOnce() async throws {
        try await Scene.with { scene in
            scene.holdLoads()
            let headers = "User-Agent: Docker-Client/28\r\n"
            for name in ["cloud1-a", "cloud2-a"] {
                #expect(try await scene.run(name, headers: headers).head.hasPrefix("HTTP/1.1 404 "))
            }
            async let pull = scene.rig.post("/images/create?fromImage=first&tag=latest")
            async let otherPull = scene.rig.post("/images/create?fromImage=first&tag=latest")
            while await !scene.allPulled() { try await Task.sleep(for: .milliseconds(5)) }
            // Neither has ended, but for these clients both have.
            async let one = scene.run("cloud1-a", headers: headers)
            async let other = scene.run("cloud2-a", headers: headers)
            while await scene.leases() > 0 || scene.state.withLock({ $0.held.isEmpty }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            scene.releaseLoads()
            #expect(try await one.body.contains("1111"))
            #expect(try await other.body.contains("1111"))
            for shown in try await [pull, otherPull] { #expect(!shown.body.contains("errorDetail"), "\(shown)") }
        }
    }

    @Test("The second does not wait for one from which nothing is heard")
    func stalled() async throws {
        try await Scene.with { scene in
            await scene.setPatience(.milliseconds(100))
            scene.holdLoads()
            async let one = scene.run("cloud1-a")
            while scene.state.withLock({ $0.held.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
            scene.state.withLock { $0.gives = false }
            try await expectAway(scene, "cloud2-a")
            #expect(scene.marks == [Scene.none])
            scene.releaseLoads()
            #expect(try await one.body.contains("1111"))
        }
    }

    @Test("An image that only the first node has gets to the second without this device's having it")
    func away() async throws {
        try await Scene.with(hasImage: false) { scene in
            try await scene.know()
            scene.source.state.withLock { state in
                state.images = [Scene.image.id]
                let hook = state.hook
                state.hook = { request in
                    guard request.line == "POST /lighter/image" else { return hook?(request) }
                    let asked = (try? JSON.parse(request.body)) ?? .null
                    scene.state.withLock { $0.offers.append(asked) }
                    return scene.archive(asked)
                }
            }
            let answer = try await scene.run("cloud2-a")
            #expect(answer.body.contains("1111"), "\(answer)")
            #expect(scene.marks == [Scene.whole])
            let asked = try #require(scene.state.withLock { $0.offers.last })
            #expect(asked["Image"] == .string(Scene.image.id) && asked["Kept"]?.objectValue?.members.count == 3)
        }
    }
}

extension NeighbourScene {
    @NodeLoop
    func setPatience(_ patience: Duration) {
        rig.door.fetchPatience = patience
        rig.door.leadPatience = patience
    }

    @NodeLoop
    func shipments() -> Int { rig.door.shipments.count }

    @NodeLoop
    func leases() -> Int { rig.door.leases.all.count }

    @NodeLoop
    func allPulled() -> Bool { rig.door.leases.all.allSatisfy(\.wasPulled) }

    /// The device has heard that the first node has the image.
    @NodeLoop
    func know() throws {
        let reference = try #require(ImageReference("first")?.resolved)
        let id = try #require(LayerDigest(Self.image.id))
        try rig.door.images.put(
            AwayImage(reference: reference, id: id, node: try NodeID("cloud1"), document: Self.image.inspection))
    }

    /// What the first node's guard gives out.
    func archive(_ asked: JSON) -> FakeEngine.Answer {
        var kept: [LayerDigest: Int64] = [:]
        for member in asked["Kept"]?.objectValue?.members ?? [] {
            if let layer = LayerDigest(member.key) { kept[layer] = member.value.intValue }
        }
        let missing = asked["Missing"]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        guard case .raw(let text) = Self.image.archive(), let start = text.firstRange(of: "\r\n\r\n") else {
            return .json([:], status: 500)
        }
        do {
            var archive = SparseArchive(diffIDs: Self.image.diffIDs, missing: Set(missing), kept: kept)
            let passed = try archive.pass(ByteBuffer(string: String(text[start.upperBound...])))
            let compressor = try ZstdCompressor()
            var body = try compressor.compress(passed)
            body.writeImmutableBuffer(try compressor.finish())
            var bytes = ByteBuffer(
                string: "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: \(body.readableBytes)\r\n\r\n")
            bytes.writeImmutableBuffer(body)
            return .bytes(bytes)
        } catch {
            return .json([:], status: 500)
        }
    }
}

extension String {
    /// How often a word is in it.
    fileprivate func components(of word: String) -> Int { ranges(of: word).count }
}
