import Compression
import DockerAPI
import Engine
import Fleet
import Images
import LighterTesting
import NIOCore
import Testing
import Trust

@testable import Agent

@Suite("Layers that are missing at a node, and compressed loads")
@NodeLoop
struct GuardLayersTests {
    /// A digest of one digit repeated.
    nonisolated static func text(_ digit: Character) -> String { "sha256:" + String(repeating: digit, count: 64) }

    static func digest(_ digit: Character) -> LayerDigest? { LayerDigest(text(digit)) }

    /// An engine with these images, by id, and their layers.
    static func serve(_ images: [Character: [Character]], _ engine: FakeEngine) {
        engine.answer = { call in
            if call.head.routePath == "/images/json" {
                return .json(.array(images.keys.sorted().map { ["Id": .string(text($0))] }))
            }
            let id = call.head.routePath.split(separator: "/")[1]
            guard let layers = images.first(where: { text($0.key) == id })?.value else {
                return .json(["message": "No such image"], status: 404)
            }
            return .json(["RootFS": ["Layers": .array(layers.map { .string(text($0)) })]])
        }
    }

    static func ask(_ client: GuardClient, _ chain: [LayerDigest]) async throws -> GuardClient.Response? {
        let list = chain.map { "\"\($0)\"" }.joined(separator: ",")
        return try await client.call("POST", "/lighter/layers", body: #"{"ChainIDs":[\#(list)]}"#)
    }

    @Test("are those of no image that its engine has, also where only what is below a layer differs")
    func missing() async throws {
        try await withGuard { rig, engine in
            Self.serve(["a": ["1", "2"], "b": ["3"]], engine)
            let client = try await rig.connect()
            let chain = LayerDigest.chain(of: "123".compactMap { Self.digest($0) })
            let answer = try #require(try await Self.ask(client, chain))
            #expect(answer.status == 200, "\(answer.body)")
            #expect(answer.json?["Missing"] == [.string("\(chain[2])")])
            #expect(answer.json?["Encodings"] == ["zstd"])
            let other = LayerDigest.chain(of: "32".compactMap { Self.digest($0) })
            #expect(try await Self.ask(client, other)?.json?["Missing"] == [.string("\(other[1])")])
        }
    }

    @Test("are told of as far as they came before a cut, go on from there, and are forgotten when the engine has them")
    func resumed() async throws {
        let folder = try ScratchFolder()
        var generator = SystemRandomNumberGenerator()
        let layer = (0..<300_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let digest = ContextFrame.digest(of: ByteBuffer(bytes: layer))
        var tar = TarWriter()
        tar.file("blobs/sha256/\(digest.hex)", layer)
        tar.file("manifest.json", Array("[]".utf8))
        tar.end()
        func marked(kept: [LayerDigest: Int64]) throws -> ByteBuffer {
            var archive = SparseArchive(diffIDs: [digest], missing: [digest], kept: kept)
            let passed = try archive.pass(ByteBuffer(bytes: tar.bytes))
            try archive.finish()
            return try Self.compressed(passed)
        }
        func head(_ length: Int) -> String {
            "POST /images/load?quiet=1 HTTP/1.1\r\nHost: d\r\nContent-Encoding: zstd\r\nX-Lighter-Layers: marked\r\n"
                + "Content-Length: \(length)\r\n\r\n"
        }
        try await withGuard(configure: { $0.layers = folder.file("layers") }) { rig, engine in
            Self.serve(["a": ["1"]], engine)
            let serve = engine.answer
            engine.answer = { $0.head.routePath == "/images/load" ? .json(["stream": "no"]) : serve($0) }
            let first = try await rig.connect()
            #expect(try await Self.ask(first, [digest])?.json?["Kept"] == [:])
            var body = try marked(kept: [:])
            first.send(head(body.readableBytes))
            try await first.send(try #require(body.readSlice(length: 200_000)))
            let second = try await rig.connect()
            var kept: Int64 = 0
            while kept == 0 {
                kept = try await Self.ask(second, [digest])?.json?["Kept"]?["\(digest)"]?.intValue ?? 0
            }
            await first.close()
            let other = try await rig.connect(peer: PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main))
            #expect(try await Self.ask(other, [digest])?.json?["Kept"] == [:])
            kept = try await Self.ask(second, [digest])?.json?["Kept"]?["\(digest)"]?.intValue ?? 0
            body = try marked(kept: [digest: kept])
            #expect(body.readableBytes < 300_000 - Int(kept) + 3000)
            second.send(head(body.readableBytes))
            try await second.send(body)
            #expect(try await second.response(method: "POST")?.status == 200)
            let load = try #require(engine.calls.last { $0.head.routePath == "/images/load" })
            #expect(Array(load.body.readableBytesView) == tar.bytes)
            #expect(load.head.headers.first("X-Lighter-Layers") == nil)
            #expect(try await Self.ask(second, [digest])?.json?["Kept"] == [:])
        }
    }

    @Test("are found without asking twice what an image consists of, and include those of an image that has gone")
    func memory() async throws {
        try await withGuard { rig, engine in
            Self.serve(["a": ["1"], "b": ["2"]], engine)
            let client = try await rig.connect()
            let layer = try #require(Self.digest("2"))
            for _ in 0..<3 { #expect(try await Self.ask(client, [layer])?.json?["Missing"] == []) }
            #expect(engine.calls.count == 5, "\(engine.paths())")
            Self.serve(["a": ["1"]], engine)
            #expect(try await Self.ask(client, [layer])?.json?["Missing"] == [.string("\(layer)")])
        }
    }

    @Test(
        "are not told to a question that is not exactly what it should be",
        arguments: [
            "", "{}", "[]", #"{"ChainIDs":[]}"#, #"{"ChainIDs":"sha256:1"}"#, #"{"ChainIDs":["sha256:1"]}"#,
            #"{"ChainIDs":[1]}"#, #"{"ChainIDs":["\#(text("1"))"],"More":1}"#,
            #"{"ChainIDs":[\#([String](repeating: "\"\(text("1"))\"", count: 129).joined(separator: ","))]}"#,
        ])
    func malformed(body: String) async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect()
            #expect(try await client.call("POST", "/lighter/layers", body: body)?.status == 400)
            #expect(engine.calls.isEmpty)
            #expect(try await client.call("GET", "/lighter/layers")?.status == 403)
        }
    }

    @Test("an engine that is away is said to be, and the connection goes on")
    func engineAway() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "broken"], status: 500) }
            let client = try await rig.connect()
            let layer = try #require(Self.digest("1"))
            #expect(try await Self.ask(client, [layer])?.status == 500)
            Self.serve([:], engine)
            #expect(try await Self.ask(client, [layer])?.status == 200)
        }
    }

    // MARK: Compressed loads

    static func compressed(_ bytes: ByteBuffer) throws -> ByteBuffer {
        let compressor = try ZstdCompressor()
        var out = try compressor.compress(bytes)
        out.writeImmutableBuffer(try compressor.finish())
        return out
    }

    /// Sends a compressed load in chunks of this size.
    static func load(_ client: GuardClient, _ body: ByteBuffer, chunk: Int) async throws {
        client.send(
            "POST /v1.41/images/load?quiet=1 HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"
                + "Content-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n\r\n")
        var rest = body
        while let piece = rest.readSlice(length: min(chunk, rest.readableBytes)), piece.readableBytes > 0 {
            try? await client.send(ChunkedEncoding.chunk(piece))
        }
        try? await client.send(ChunkedEncoding.end)
    }

    @Test(
        "a compressed load reaches the engine as it was, in more than the engine takes at once",
        arguments: [1000, 20_000, 1 << 20])
    func compressedLoad(chunk: Int) async throws {
        try await withGuard { rig, engine in
            var plain = ByteBuffer(repeating: 7, count: 8 << 20)
            plain.writeBytes((0..<2_000_000).map { UInt8(truncatingIfNeeded: ($0 &* 0x9e37_79b9_7f4a_7c15) >> 40) })
            let client = try await rig.connect()
            for _ in 0..<2 {
                try await Self.load(client, try Self.compressed(plain), chunk: chunk)
                #expect(try await client.response(method: "POST")?.status == 200)
            }
            let call = try #require(engine.passed.last)
            #expect(call.body == plain)
            #expect(call.head.headers.first("Content-Encoding") == nil)
            #expect(call.head.target == "/v1.41/images/load?quiet=1")
        }
    }

    @Test("a compressed load is bounded by what comes out of it")
    func bomb() async throws {
        var policy = GuardPolicy()
        policy.maximumImage = .mebibytes(1)
        try await withGuard(policy: policy) { rig, engine in
            let client = try await rig.connect()
            try await Self.load(client, try Self.compressed(ByteBuffer(repeating: 0, count: 64 << 20)), chunk: 4096)
            #expect(try await client.response(method: "POST")?.status == 413)
            await client.waitForEnd()
            #expect(engine.passed.isEmpty)
        }
    }

    @Test("a compressed load that is damaged or cut short is refused, and the engine never has it whole")
    func damaged() async throws {
        try await withGuard { rig, engine in
            let body = try Self.compressed(ByteBuffer(repeating: 7, count: 100_000))
            var damaged = body
            damaged.setInteger(UInt8(0xff), at: damaged.readerIndex + 8)
            let cut = try #require(body.getSlice(at: body.readerIndex, length: body.readableBytes - 1))
            for bad in [damaged, cut, ByteBuffer(string: "no zstd at all")] {
                let client = try await rig.connect()
                try await Self.load(client, bad, chunk: 4096)
                #expect(try await client.response(method: "POST")?.status == 400)
                await client.waitForEnd()
            }
            #expect(engine.passed.isEmpty)
        }
    }
}
