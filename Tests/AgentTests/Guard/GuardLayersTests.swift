import Compression
import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Testing

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
