import Compression
import DockerAPI
import Fleet
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor
@testable import Images

/// An image of three layers, as engines save it.
struct SavedImage: Sendable {
    let layers = ["one", "two", "three"].map { Array(String(repeating: $0, count: 20_000).utf8) }

    var diffIDs: [LayerDigest] { layers.map { LayerDigest(of: $0) } }
    var chainIDs: [LayerDigest] { LayerDigest.chain(of: diffIDs) }
    var config: [UInt8] {
        Array(#"{"rootfs":{"type":"layers","diff_ids":[\#(diffIDs.map { "\"\($0)\"" }.joined(separator: ","))]}}"#.utf8)
    }
    var id: LayerDigest { LayerDigest(of: config) }

    var inspection: JSON {
        [
            "Id": .string("\(id)"), "Size": 180_000, "RepoTags": [], "RepoDigests": [],
            "RootFS": ["Type": "layers", "Layers": .array(diffIDs.map { .string("\($0)") })],
        ]
    }

    /// The archive without the layers that are not `missing`.
    func archive(missing: Set<LayerDigest>) -> [UInt8] {
        var tar = TarWriter()
        tar.file("blobs/sha256/\(id.hex)", config)
        for (index, layer) in layers.enumerated() where missing.contains(chainIDs[index]) {
            tar.file("blobs/sha256/\(diffIDs[index].hex)", layer)
        }
        let paths = diffIDs.map { "\"blobs/sha256/\($0.hex)\"" }.joined(separator: ",")
        tar.file(
            "manifest.json",
            Array(#"[{"Config":"blobs/sha256/\#(id.hex)","RepoTags":["busybox:latest"],"Layers":[\#(paths)]}]"#.utf8))
        tar.end()
        return tar.bytes
    }
}

/// The chunks that a node keeps.
final class Shelf: ChunkStore, Sendable {
    private let chunks = Mutex<[LayerDigest: ByteBuffer]>([:])
    func load(_ digest: LayerDigest) -> ByteBuffer? { chunks.withLock { $0[digest] } }
    func load(_ digest: JSON) -> ByteBuffer? { digest.stringValue.flatMap { LayerDigest($0) }.flatMap(load) }
    func save(_ digest: LayerDigest, _ bytes: ByteBuffer) { chunks.withLock { $0[digest] = bytes } }
}

/// A device's engine and another node's guard, between which images move; the first has a base of the image.
final class HomecomingScene: Sendable {
    struct State {
        var here: Set<String> = []
        /// What each load here held, by name.
        var loads: [[String]] = []
        var tags: [String] = []
        var asked: [JSON] = []
        var removed: [String] = []
        var takesParts = true
        var givesOut = true
        var isDamaged = false
        /// Whether the node has the image, after a pull.
        var isThere = false
        var pullFails = false
        /// What a build there was given, as the query and the files of its context.
        var builds: [(query: Query, files: [String: String])] = []
        var buildAnswer = BuildAnswer.image
        /// Contexts of builds here.
        var builtHere: [ByteBuffer] = []
        /// What travelled of each context.
        var contextBytes: [Int] = []
        /// What answers before all else, here and there.
        var scripts: (here: Script?, there: Script?)
        /// Chain ids of the layers here.
        var base: Int = 1
    }

    typealias Script = @Sendable (FakeEngine.Request) -> FakeEngine.Answer?

    enum BuildAnswer { case image, error, refusal, silence }

    let shelf = Shelf()
    static let base = "sha256:" + "b".repeated(64)
    static let image = SavedImage()
    let state = Mutex(State())

    /// What the device's engine says.
    func here(_ request: FakeEngine.Request) -> FakeEngine.Answer {
        if let answer = state.withLock({ $0.scripts.here })?(request) { return answer }
        let image = Self.image
        switch request.line {
        case "GET /images/json": return .json([["Id": .string("sha256:" + "b".repeated(64))]])
        case "GET /images/busybox/json", "GET /images/busybox:1/json":
            return .json(["Id": .string(Self.base), "Size": 1000, "RepoDigests": []])
        case "POST /build":
            state.withLock { $0.builtHere.append(request.body) }
            return .raw("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"stream\":\"here\"}")
        case "GET /images/sha256:\("b".repeated(64))/json":
            let base = state.withLock { $0.base }
            return .json(["RootFS": ["Layers": .array(image.diffIDs.prefix(base).map { .string("\($0)") })]])
        case "GET /images/\(image.id)/json":
            return state.withLock { $0.here }.contains("\(image.id)")
                ? .json(image.inspection) : .json(["message": "No such image"], status: 404)
        case "POST /images/load":
            let names = (try? Self.names(request.body)) ?? []
            return state.withLock { state in
                state.loads.append(names)
                let isWhole = image.diffIDs.allSatisfy { names.contains("blobs/sha256/\($0.hex)") }
                guard isWhole || state.takesParts, names.contains("manifest.json") else {
                    return .json(["errorDetail": ["message": "no such file or directory"]])
                }
                state.here.insert("\(image.id)")
                return .json(["stream": "Loaded"])
            }
        case "POST /images/\(image.id)/tag":
            state.withLock { $0.tags.append(request.head.query ?? "") }
            return .raw("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        case "POST /containers/create": return make(request, "e", has: !state.withLock { $0.tags }.isEmpty)
        case "GET /images/get": return .json(["tar": .string(request.head.query ?? "")])
        default: return .json(["message": "no"], status: 404)
        }
    }

    private func make(_ request: FakeEngine.Request, _ digit: String, has: Bool) -> FakeEngine.Answer {
        let image = (try? JSON.parse(request.body))?["Image"]?.stringValue ?? ""
        return has
            ? .json(["Id": .string(digit.repeated(64)), "Warnings": [.string(image)]], status: 201)
            : .json(["message": .string("No such image: \(image)")], status: 404)
    }

    /// What the other node's guard says.
    func there(_ request: FakeEngine.Request) -> FakeEngine.Answer {
        if let answer = state.withLock({ $0.scripts.there })?(request) { return answer }
        let image = Self.image
        switch request.line {
        case "GET /images/\(image.id)/json": return .json(image.inspection)
        case "POST /lighter/image":
            let (gives, damaged) = state.withLock { state in
                state.asked.append((try? JSON.parse(request.body)) ?? .null)
                return (state.givesOut, state.isDamaged)
            }
            guard gives else { return .json(["message": "No such image"], status: 404) }
            let missing = (try? JSON.parse(request.body))?["Missing"]?.arrayValue ?? []
            var bytes = image.archive(missing: Set(missing.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }))
            if damaged { bytes[513] ^= 1 }
            return .bytes(Self.compressed(bytes))
        case "POST /images/create":
            let line =
                state.withLock { state in
                    state.isThere = !state.pullFails
                    return state.pullFails
                }
                ? #"{"errorDetail":{"message":"no"},"error":"no"}"#
                : #"{"status":"Status: Downloaded newer image for x"}"#
            return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)")
        case "GET /images/reg:5000/team/app:v1/json":
            var shown = image.inspection
            shown["RepoTags"] = ["reg:5000/team/app:v1", "other:latest"]
            shown["RepoDigests"] = [
                .string("reg:5000/team/app@sha256:\("d".repeated(64))"), .string("other@sha256:\("d".repeated(64))"),
            ]
            shown["Created"] = "2026-01-02T03:04:05Z"
            shown["Config"] = ["Labels": ["a": "b"]]
            return .json(shown)
        case "GET /images/\(image.id)/history":
            return .json([["Id": .string("\(image.id)"), "Tags": ["other:latest"]]])
        case "POST /containers/create": return make(request, "1", has: state.withLock { $0.isThere })
        case "GET /images/\(Self.base)/json": return .json([:])
        case "POST /lighter/chunks":
            let asked = (try? JSON.parse(request.body))?["Chunks"]?.arrayValue ?? []
            return .json(["Missing": .array(asked.filter { shelf.load($0) == nil })])
        case "POST /build": return build(request)
        case "POST /commit": return .json(["Id": .string("\(image.id)")], status: 201)
        case "DELETE /images/\(image.id)":
            state.withLock { $0.removed.append("\(image.id)") }
            return .json([])
        default: return .json(["message": "no"], status: 404)
        }
    }

    private func build(_ request: FakeEngine.Request) -> FakeEngine.Answer {
        let query = DockerPath.parse(method: "POST", target: request.head.target).query
        let files = (try? files(request)) ?? [:]
        let answer = state.withLock { state in
            state.builds.append((query, files))
            return state.buildAnswer
        }
        let aux = #"{"aux":{"ID":"\#(Self.image.id)"}}"#
        let lines =
            switch answer {
            case .image:
                #"{"stream":"Step 0 : FROM \#(Self.base) AS a\n"}"# + "\r\n" + #"{"stream":"Step 1\n"}"# + "\r\n" + aux
                    + "\r\n" + #"{"stream":"Successfully built x\n"}"#
            case .error: #"{"errorDetail":{"message":"no"},"error":"no"}"#
            default: ""
            }
        switch answer {
        case .silence: return .drop
        case .refusal: return .json(["message": "not admitted"], status: 403)
        default: return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(lines.utf8.count + 2)\r\n\r\n\(lines)\r\n")
        }
    }

    private func files(_ request: FakeEngine.Request) throws -> [String: String] {
        let isChunks = request.head.headers.first("X-Lighter-Context") == "chunks"
        let decompressor: any StreamDecoder = isChunks ? try ContextDecoder(store: shelf) : try PlainDecoder()
        decompressor.add(request.body)
        state.withLock { $0.contextBytes.append(request.body.readableBytes) }
        var archive = ByteBuffer()
        while let piece = try decompressor.next() { archive.writeImmutableBuffer(piece) }
        var scanner = TarScanner()
        var files: [String: String] = [:]
        var name = ""
        while let event = try scanner.next(&archive) {
            switch event {
            case .entry(let entry, _):
                name = entry.name
                files[name] = ""
            case .content(let bytes): files[name]? += String(buffer: bytes)
            case .entryEnd, .end: break
            }
        }
        return scanner.hasEnded ? files : [:]
    }

    private static func compressed(_ bytes: [UInt8]) -> ByteBuffer {
        guard let compressor = try? ZstdCompressor(), var out = try? compressor.compress(ByteBuffer(bytes: bytes)),
            let rest = try? compressor.finish()
        else { return ByteBuffer() }
        out.writeImmutableBuffer(rest)
        var answer = ByteBuffer(
            string: "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: \(out.readableBytes)\r\n\r\n")
        answer.writeImmutableBuffer(out)
        return answer
    }

    private static func names(_ body: ByteBuffer) throws -> [String] {
        var archive = body
        var scanner = TarScanner()
        var names: [String] = []
        while let event = try scanner.next(&archive) {
            if case .entry(let entry, _) = event { names.append(entry.name) }
        }
        return names
    }

    /// A device with a route `web` to the node, and both engines.
    static func with(_ body: @escaping @Sendable (Rig, HomecomingScene) async throws -> Void) async throws {
        let scene = HomecomingScene()
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { scene.here($0) }
            let there = FakeEngine(path: rig.folder.file("1.sock")) { scene.there($0) }
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path, route: "web")
            try await body(rig, scene)
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }
}

@Suite("Images that come home", .timeLimit(.minutes(1)))
struct HomecomingTests {
    private static var image: SavedImage { HomecomingScene.image }

    private func names(_ layers: Int...) -> [String] {
        ["blobs/sha256/\(Self.image.id.hex)"] + layers.map { "blobs/sha256/\(Self.image.diffIDs[$0].hex)" }
            + ["manifest.json"]
    }

    @Test("A commit of a container elsewhere is answered with the image, which is here by then, with its name")
    func commit() async throws {
        try await HomecomingScene.with { rig, scene in
            let answer = try await rig.post("/v1.41/commit?container=web&repo=mine&tag=v1&comment=c", "null")
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("\(Self.image.id)"), "\(answer)")
            scene.state.withLock { state in
                #expect(state.here == ["\(Self.image.id)"])
                #expect(state.tags == ["repo=mine&tag=v1"])
                // The layer that is here has stayed there.
                #expect(state.loads == [names(1, 2)])
                #expect(state.removed.isEmpty)
            }
        }
    }

    @Test("An image that the engine here calls otherwise has its name here, and is that image there")
    func renamed() async throws {
        try await HomecomingScene.with { rig, scene in
            let other = "sha256:\("9".repeated(64))"
            var inspection = Self.image.inspection
            inspection["Id"] = .string(other)
            let renamed = inspection
            scene.state.withLock { state in
                state.scripts.here = { request in
                    switch request.line {
                    case "POST /images/load": .json(["stream": .string("Loaded image ID: \(other)\n")])
                    case "GET /images/\(other)/json": .json(renamed)
                    case "POST /images/\(other)/tag": .raw("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
                    default: nil
                    }
                }
            }
            for _ in 0..<2 {
                let answer = try await rig.post("/v1.41/commit?container=web&repo=mine", "null")
                #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains(other), "\(answer)")
            }
            #expect(scene.state.withLock { $0.asked.count } == 1, "once it is here")
            let kept = try await rig.imageNames()
            #expect(kept == [[other, "\(Self.image.id)"]])
        }
    }

    @Test("A commit without a name gives none, and one with an impossible name makes nothing")
    func names() async throws {
        try await HomecomingScene.with { rig, scene in
            let wrong = try await rig.post("/commit?container=web&repo=Upper", "null")
            #expect(wrong.head.hasPrefix("HTTP/1.1 400 ") && wrong.body.contains("invalid reference format"))
            #expect(scene.state.withLock { $0.asked.isEmpty })
            let answer = try await rig.post("/commit?container=web")
            #expect(answer.head.hasPrefix("HTTP/1.1 201 "), "\(answer)")
            #expect(scene.state.withLock { $0.tags.isEmpty && !$0.here.isEmpty })
        }
    }

    @Test("An engine that takes only whole images gets them whole after one failure, and the next at once")
    func whole() async throws {
        try await HomecomingScene.with { rig, scene in
            scene.state.withLock { $0.takesParts = false }
            let first = try await rig.post("/commit?container=web", "null")
            #expect(first.head.hasPrefix("HTTP/1.1 201 "), "\(first)")
            #expect(scene.state.withLock { $0.loads } == [names(1, 2), names(0, 1, 2)])
            scene.state.withLock { $0.here = [] }
            let second = try await rig.post("/commit?container=web", "null")
            #expect(second.head.hasPrefix("HTTP/1.1 201 "), "\(second)")
            #expect(scene.state.withLock { $0.loads.dropFirst(2) } == [names(0, 1, 2)])
        }
    }

    @Test("What does not come home is an error, and leaves nothing: neither here nor there", arguments: [true, false])
    func failure(damaged: Bool) async throws {
        try await HomecomingScene.with { rig, scene in
            scene.state.withLock { if damaged { $0.isDamaged = true } else { $0.givesOut = false } }
            let answer = try await rig.post("/commit?container=web&repo=mine", "null")
            #expect(answer.head.hasPrefix("HTTP/1.1 503 ") && answer.body.contains("cannot be brought"), "\(answer)")
            scene.state.withLock { state in
                #expect(state.here.isEmpty && state.tags.isEmpty && state.loads.isEmpty)
                #expect(state.removed == ["\(Self.image.id)"])
            }
        }
    }

    @Test("An image that is here already does not travel, and of two that want it one brings it")
    func together() async throws {
        try await HomecomingScene.with { rig, scene in
            async let one = rig.post("/commit?container=web&repo=a", "null")
            async let other = rig.post("/commit?container=web&repo=b", "null")
            let heads = try await [one.head, other.head]
            #expect(heads.allSatisfy { $0.hasPrefix("HTTP/1.1 201 ") })
            #expect(scene.state.withLock { $0.asked.count } == 1)
            let third = try await rig.post("/commit?container=web&repo=c", "null")
            #expect(third.head.hasPrefix("HTTP/1.1 201 "), "\(third)")
            #expect(scene.state.withLock { $0.asked.count } == 1)
            let tags = scene.state.withLock { $0.tags }.map { String($0.prefix(6)) }
            #expect(tags.sorted() == ["repo=a", "repo=b", "repo=c"])
        }
    }
}
