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

/// An image that a test makes, as a device's engine has it.
struct TestImage {
    let name: String
    let layers: [[UInt8]]
    let size: Int64

    /// - Parameter contents: one word for each layer.
    init(_ name: String, _ contents: [String], size: Int64 = 1000) {
        self.name = name
        self.size = size
        layers = contents.map { Array(String(repeating: $0, count: 20_000).utf8) }
    }

    var id: String { LayerDigest(of: Array(name.utf8)).description }
    var diffIDs: [LayerDigest] { layers.map { LayerDigest(of: $0) } }
    var chainIDs: [LayerDigest] { LayerDigest.chain(of: diffIDs) }

    var inspection: JSON {
        [
            "Id": .string(id), "Size": .int(size),
            "RootFS": ["Type": "layers", "Layers": .array(diffIDs.map { .string("\($0)") })],
        ]
    }

    /// - Parameter damaged: whether a layer is not what its name says.
    func archive(damaged: Bool = false) -> FakeEngine.Answer {
        var tar = TarWriter()
        for (layer, digest) in zip(layers, diffIDs) {
            tar.file("blobs/sha256/\(digest.hex)", damaged ? layer.reversed() : layer)
        }
        tar.file("manifest.json", Array("[]".utf8))
        tar.end()
        return .raw(
            "HTTP/1.1 200 OK\r\nContent-Length: \(tar.bytes.count)\r\n\r\n\(String(decoding: tar.bytes, as: UTF8.self))"
        )
    }
}

/// Another node: its guard and its engine in one, as far as images go.
final class TestTarget: Sendable {
    struct State {
        var images: Set<String> = []
        var chains: Set<LayerDigest> = []
        /// What each load held: layers' diff ids.
        var loads: [Set<LayerDigest>] = []
        var encodings: [String?] = []
        var bytes: [Int] = []
        var pins: [JSON] = []
        /// Bytes of layers that came before a cut; nil for a node that keeps none.
        var kept: [LayerDigest: Int64]?
        var isDamaged = false
        /// What answers before all else.
        var hook: (@Sendable (FakeEngine.Request) -> FakeEngine.Answer?)?
        /// Of each load: how much of each layer was left out.
        var marks: [[Int64]] = []
    }

    /// `renaming` is an engine that calls images by their manifests.
    enum Manner { case knowing, compressing, silent, wholeOnly, forgetful, renaming }

    let state = Mutex(State())
    private let images: [TestImage]
    private let manner: Manner

    init(_ images: [TestImage], manner: Manner) {
        self.images = images
        self.manner = manner
    }

    /// What the engine here calls an image.
    func name(of image: TestImage) -> String {
        manner == .renaming ? LayerDigest(of: Array("manifest of \(image.id)".utf8)).description : image.id
    }

    func has(_ image: TestImage, layers: Int) { state.withLock { $0.chains.formUnion(image.chainIDs.prefix(layers)) } }

    var script: FakeEngine.Script {
        { [self] request in
            if let answer = state.withLock({ $0.hook })?(request) { return answer }
            switch request.line {
            case "POST /lighter/layers": return layers(request)
            case "POST /images/load": return load(request)
            case "POST /lighter/pin":
                state.withLock { $0.pins.append((try? JSON.parse(request.body)) ?? .null) }
                return .json(["Brought": true])
            case "POST /lighter/held":
                let ids = (try? JSON.parse(request.body))?["Images"]?.arrayValue ?? []
                return state.withLock { state in
                    .json(
                        .array(
                            ids.map {
                                ["Id": $0, "Has": .bool(state.images.contains($0.stringValue ?? "")), "Brought": true]
                            }))
                }
            case "POST /containers/create":
                let image = (try? JSON.parse(request.body))?["Image"]?.stringValue ?? ""
                return state.withLock { $0.images.contains(image) }
                    ? .json(["Id": .string("1".repeated(64)), "Warnings": []], status: 201)
                    : .json(["message": .string("No such image: \(image)")], status: 404)
            default:
                let isThere = state.withLock { state in
                    state.images.contains { request.line == "GET /images/\($0)/json" }
                }
                return isThere ? .json([:]) : .json(["message": "no"], status: 404)
            }
        }
    }

    private func layers(_ request: FakeEngine.Request) -> FakeEngine.Answer {
        if manner == .silent { return .json(["message": "not admitted"], status: 403) }
        let asked = (try? JSON.parse(request.body))?["ChainIDs"]?.arrayValue ?? []
        let missing = state.withLock { state in
            asked.filter { $0.stringValue.flatMap { LayerDigest($0) }.map { !state.chains.contains($0) } ?? true }
        }
        var answer: JSON = ["Missing": .array(missing), "Encodings": manner == .compressing ? ["zstd"] : []]
        if let kept = state.withLock({ $0.kept }) {
            answer["Kept"] = .object(JSONObject(kept.map { .init(key: "\($0)", value: .int($1)) }))
        }
        return .json(answer)
    }

    private func load(_ request: FakeEngine.Request) -> FakeEngine.Answer {
        let encoding = request.head.headers.first("Content-Encoding")
        let refused = FakeEngine.Answer.json(["errorDetail": ["message": "no such file or directory"]])
        let isMarked = request.head.headers.first("X-Lighter-Layers") == "marked"
        let shelf = TestShelf(images.flatMap { zip($0.diffIDs, $0.layers) })
        guard let names = try? Self.names(request.body, encoding, isMarked ? shelf : nil) else { return refused }
        if isMarked {
            let isFirst = state.withLock { state in
                state.marks.append(shelf.marks)
                return state.marks.count == 1
            }
            if isFirst, state.withLock({ $0.isDamaged }) { return refused }
        }
        let held = Set(names.compactMap { LayerDigest("sha256:\($0.split(separator: "/").last ?? "")") })
        return state.withLock { state in
            state.loads.append(held)
            state.encodings.append(encoding)
            state.bytes.append(request.body.readableBytes)
            if manner == .forgetful, state.loads.count == 1 { state.chains = [] }
            var loaded: String?
            for image in images {
                let there = zip(image.diffIDs, image.chainIDs).allSatisfy {
                    held.contains($0) || (manner != .wholeOnly && state.chains.contains($1))
                }
                // Archives do not say whose they are: it is the one whose top layer came.
                guard there, let top = image.diffIDs.last, held.contains(top) else { continue }
                loaded = name(of: image)
                state.images.insert(name(of: image))
                state.chains.formUnion(image.chainIDs)
            }
            return loaded.map { .json(["stream": .string("Loaded image ID: \($0)\n")]) } ?? refused
        }
    }

    private static func names(_ body: ByteBuffer, _ encoding: String?, _ shelf: TestShelf?) throws -> [String] {
        var archive = body
        if encoding == "zstd" {
            archive = ByteBuffer()
            let decompressor: any StreamDecoder = try shelf.map { try LayerRestorer(shelf: $0) } ?? PlainDecoder()
            decompressor.add(body)
            while let piece = try decompressor.next() { archive.writeImmutableBuffer(piece) }
        }
        var scanner = TarScanner()
        var names: [String] = []
        while let event = try scanner.next(&archive) {
            if case .entry(let entry, _) = event { names.append(entry.name) }
        }
        return names
    }
}

/// Has every layer, and notes of how much of each it was asked for.
private final class TestShelf: LayerShelf {
    private let layers: [LayerDigest: [UInt8]]
    private var current: [UInt8] = []
    private(set) var marks: [Int64] = []

    init(_ layers: [(LayerDigest, [UInt8])]) { self.layers = Dictionary(layers) { first, _ in first } }

    func begin(_ layer: LayerDigest, size: Int64, kept: Int64) -> Bool {
        marks.append(kept)
        current = layers[layer] ?? []
        return true
    }

    func read(at offset: Int64, atMost count: Int) -> ByteBuffer? {
        ByteBuffer(bytes: current.dropFirst(Int(offset)).prefix(count))
    }

    func append(_ bytes: ByteBuffer) -> Bool { true }
    func reject() {}
}

@Suite("Shipping images", .timeLimit(.minutes(1)))
struct ShippingTests {
    private static let base = String(repeating: "base", count: 4)
    private static let first = TestImage("first", [base, "libs", "one"])
    private static let second = TestImage("second", [base, "libs", "two"])
    private static let large = TestImage("large", [base, "libs", "three"], size: 5 << 20)

    /// A device with the images, and a target that has none of them yet.
    private func with(
        _ manner: TestTarget.Manner = .knowing, damaged: Bool = false, policy: Policy.Kind = .remote, preload: Int = 0,
        _ body: @escaping @Sendable (Rig, TestTarget) async throws -> Void
    ) async throws {
        let images = [Self.first, Self.second, Self.large]
        let target = TestTarget(images, manner: manner)
        try await Rig.with(preload: preload) { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                for image in images {
                    if ["GET /images/\(image.name)/json", "GET /images/\(image.id)/json"].contains(request.line) {
                        return .json(image.inspection)
                    }
                    if request.line == "GET /images/\(image.id)/get" { return image.archive(damaged: damaged) }
                }
                return request.line == "POST /containers/create"
                    ? .json(["Id": .string("e".repeated(64)), "Warnings": []], status: 201) : .json([:], status: 404)
            }
            let there = FakeEngine(path: rig.folder.file("1.sock"), script: target.script)
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path)
            rig.plane.govern(policy)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: try? NodeID("cloud1"), reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            try await body(rig, target)
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }

    private func create(_ image: TestImage, _ rig: Rig, headers: String = "") async throws -> (
        head: String, body: String
    ) {
        try await rig.post("/containers/create", #"{"Image":"\#(image.name)"}"#, headers: headers)
    }

    /// A container of the image is made, at the target.
    private func expectAway(_ image: TestImage, _ rig: Rig) async throws {
        let answer = try await create(image, rig)
        #expect(answer.body.contains("1111"), "\(answer)")
    }

    @Test(
        "An image that the target calls otherwise is there, is not sent again, and is known by that name after a restart"
    )
    func renamed() async throws {
        try await with(.renaming) { rig, target in
            let there = target.name(of: Self.first)
            try await expectAway(Self.first, rig)
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads.count } == 1 && there != Self.first.id)
            let kept = try await rig.imageNames()
            #expect(kept == [[Self.first.id, there]])
            // Given up there, it is called nothing, and sent again.
            target.state.withLock { ($0.images, $0.chains) = ([], []) }
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads.count } == 2)
        }
    }

    @Test("An image's missing layers travel, those that the target has do not")
    func sparse() async throws {
        try await with { rig, target in
            target.has(Self.first, layers: 2)
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads } == [[Self.first.diffIDs[2]]])
            #expect(target.state.withLock { $0.encodings } == [nil])
            try await expectAway(Self.second, rig)
            #expect(target.state.withLock { $0.loads.last } == [Self.second.diffIDs[2]])
        }
    }

    @Test(
        "The image of a container that stays here travels ahead of the next one, if that is asked for",
        arguments: [0, 2])
    func preload(nodes: Int) async throws {
        try await with(policy: .completion, preload: nodes) { rig, target in
            let answer = try await create(Self.first, rig)
            #expect(answer.body.contains("eeee"), "\(answer)")
            guard nodes > 0 else { return #expect(target.state.withLock { $0.loads.isEmpty }) }
            while target.state.withLock({ $0.loads.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
            #expect(target.state.withLock { $0.loads } == [Set(Self.first.diffIDs)])
            var pins: [JSON] = []
            while pins.isEmpty {
                try await Task.sleep(for: .milliseconds(5))
                pins = target.state.withLock { $0.pins }
            }
            #expect(pins == [["Image": .string(Self.first.id), "For": 86_400]])
        }
    }

    @Test("A pin that names a node sends the image there first; one that names none is for nodes that have it")
    func pins() async throws {
        try await with { rig, target in
            func pin(_ body: String) async throws -> (head: String, body: String) {
                try await rig.post("/lighter/pin", body)
            }
            let none = try await pin(#"{"Image":"first","Node":null,"Pinned":true}"#)
            #expect(none.head.hasPrefix("HTTP/1.1 404 ") && none.body.contains("no other node has first"), "\(none)")
            let named = try await pin(#"{"Image":"first","Node":"cloud1","Pinned":true}"#)
            #expect(named.body.contains(#""Nodes":[{"Node":"cloud1","Brought":true}]"#), "\(named)")
            #expect(target.state.withLock { $0.loads } == [Set(Self.first.diffIDs)])
            let all = try await pin(#"{"Image":"first","Node":null,"Pinned":false}"#)
            #expect(all.body.contains(#""Node":"cloud1""#), "\(all)")
            let id = JSON.string(Self.first.id)
            #expect(target.state.withLock { $0.pins } == [["Image": id, "For": .null], ["Image": id, "For": 0]])
            #expect(try await pin(#"{"Image":"none","Node":null,"Pinned":true}"#).body.contains("No such image: none"))
            #expect(
                try await pin(#"{"Image":"first","Node":"nowhere","Pinned":true}"#).body.contains("no node 'nowhere'"))
            #expect(try await pin("{}").head.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test("What a node has given up is forgotten, and shipped again when it is needed")
    @NodeLoop
    func givenUp() async throws {
        try await with { rig, target in
            try await expectAway(Self.first, rig)
            #expect(await rig.door.reviewHoldings())
            #expect(await !rig.door.reviewHoldings(), "nothing is new: it asks more seldom")
            let cloud = try NodeID("cloud1")
            #expect(await rig.door.estimates.holders(of: Self.first.id).contains(cloud))
            target.state.withLock {
                $0.images = []
                $0.chains = []
            }
            #expect(await rig.door.reviewHoldings())
            #expect(await !rig.door.estimates.holders(of: Self.first.id).contains(cloud))
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads.count } == 2)
        }
    }

    @Test("What a node kept of a layer does not travel again; damaged by then, it is sent once more from its beginning")
    func kept() async throws {
        for isDamaged in [false, true] {
            try await with(.compressing) { rig, target in
                target.state.withLock {
                    $0.kept = [Self.first.diffIDs[1]: Int64(Self.first.layers[1].count)]
                    $0.isDamaged = isDamaged
                }
                try await expectAway(Self.first, rig)
                target.state.withLock { state in
                    #expect(state.marks.count == (isDamaged ? 2 : 1))
                    #expect(state.marks.first == [0, Int64(Self.first.layers[1].count), 0])
                    #expect(state.marks.last == (isDamaged ? [0, 0, 0] : state.marks.first))
                }
            }
        }
    }

    @Test("They are compressed for a node that says that it can read that")
    func compressed() async throws {
        try await with(.compressing) { rig, target in
            try await expectAway(Self.first, rig)
            target.state.withLock { state in
                #expect(state.loads == [Set(Self.first.diffIDs)])
                #expect(state.encodings == ["zstd"])
                #expect(state.bytes.allSatisfy { $0 < 20_000 })
            }
        }
    }

    @Test("A node that does not say what it has is sent the whole image")
    func silent() async throws {
        try await with(.silent) { rig, target in
            target.has(Self.first, layers: 2)
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads } == [Set(Self.first.diffIDs)])
        }
    }

    @Test("An engine that takes only whole images gets them whole after one failure, and the next at once")
    func wholeOnly() async throws {
        try await with(.wholeOnly) { rig, target in
            target.has(Self.first, layers: 2)
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads } == [[Self.first.diffIDs[2]], Set(Self.first.diffIDs)])
            try await expectAway(Self.second, rig)
            #expect(target.state.withLock { $0.loads.dropFirst(2) } == [Set(Self.second.diffIDs)])
        }
    }

    @Test("A layer that goes while the others travel is one failure, and no reason to send whole images from then on")
    func forgetful() async throws {
        try await with(.forgetful) { rig, target in
            target.has(Self.first, layers: 2)
            try await expectAway(Self.first, rig)
            #expect(target.state.withLock { $0.loads } == [[Self.first.diffIDs[2]], Set(Self.first.diffIDs)])
            try await expectAway(Self.second, rig)
            #expect(target.state.withLock { $0.loads.last } == [Self.second.diffIDs[2]])
        }
    }

    @Test("A damaged layer is never loaded: the container runs on the device, and its user is told why")
    func damaged() async throws {
        try await with(damaged: true) { rig, target in
            let answer = try await create(Self.first, rig)
            #expect(answer.body.contains("eeee") && answer.body.contains("the image is damaged"), "\(answer)")
            #expect(target.state.withLock { $0.images }.isEmpty)
        }
    }

    @Test("Of two images that are sent at once, the second leaves out what the first brings")
    func together() async throws {
        try await with { rig, target in
            async let one: Void = expectAway(Self.first, rig)
            async let other: Void = expectAway(Self.second, rig)
            _ = try await (one, other)
            let loads = target.state.withLock { $0.loads }
            #expect(loads.count == 2)
            #expect(loads.count { $0.contains(Self.first.diffIDs[0]) } == 1)
        }
    }

    @Test("The client's pull shows each layer as a pull from a registry does")
    func progress() async throws {
        try await with { rig, target in
            target.has(Self.large, layers: 1)
            let first = try await create(Self.large, rig, headers: "User-Agent: Docker-Client/28\r\n")
            #expect(first.head.hasPrefix("HTTP/1.1 404 "), "\(first)")
            // Also where the shipment has ended before the client asks for it.
            while !target.state.withLock({ $0.images.contains(Self.large.id) }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            let pull = try await rig.post("/images/create?fromImage=large&tag=latest")
            let lines = pull.body.split(whereSeparator: \.isNewline).compactMap { try? JSON.parse(Array($0.utf8)) }
            func states(_ layer: Int) -> [String] {
                lines.filter { $0["id"]?.stringValue == Self.large.diffIDs[layer].short }
                    .compactMap { $0["status"]?.stringValue }
            }
            #expect(states(0).last == "Already exists")
            for layer in 1...2 { #expect(states(layer).last == "Pull complete") }
            let last = lines.compactMap { $0["status"]?.stringValue }.last ?? ""
            #expect(last.hasPrefix("Status: Downloaded newer image"), "\(pull)")
            try await expectAway(Self.large, rig)
        }
    }
}
