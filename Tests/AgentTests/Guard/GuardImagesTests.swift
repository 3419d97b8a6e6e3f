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

@Suite("Images that leave a node again")
@NodeLoop
struct GuardImagesTests {
    private static let id = String(repeating: "a1", count: 32)
    private static let image = GuardLayersTests.text("a")
    /// Two layers, by diff id, with what is in them.
    private nonisolated static let layers: [(digest: String, content: String)] = [
        ("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "foo"),
        ("fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9", "bar"),
    ]

    private static var chain: [LayerDigest] {
        LayerDigest.chain(of: layers.compactMap { LayerDigest("sha256:\($0.digest)") })
    }

    /// An engine with one image, that takes whatever it is sent.
    private static func serve(_ engine: FakeEngine, damaged: Bool = false) {
        engine.answer = { call in
            switch "\(call.head.method) \(call.head.routePath)" {
            case "GET /images/\(image)/json", "GET /images/busybox:latest/json":
                return .json([
                    "Id": .string(image), "RootFS": ["Layers": .array(layers.map { .string("sha256:\($0.digest)") })],
                ])
            case "GET /images/\(image)/get":
                var tar = TarWriter()
                for layer in layers {
                    tar.file("blobs/sha256/\(layer.digest)", Array((damaged ? "baz" : layer.content).utf8))
                }
                tar.file("manifest.json", Array("[]".utf8))
                tar.end()
                let text = String(decoding: tar.bytes, as: UTF8.self)
                return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
            case "POST /images/load": return .json(["stream": .string("Loaded image ID: \(image)\n")])
            case "POST /images/create":
                let lines = #"{"status":"Pulling"}\#r\#n{"status":"Status: Image is up to date for busybox"}\#r\#n"#
                return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(lines.utf8.count)\r\n\r\n\(lines)")
            case "POST /commit": return .json(["Id": .string(image)], status: 201)
            case "DELETE /images/\(image)": return .json([["Deleted": .string(image)]])
            case "GET /images/\(image)/history": return .json([["Id": .string(image)]])
            default: return .json(["message": "no"], status: 404)
            }
        }
    }

    private static func take(_ client: GuardClient, missing: [LayerDigest]) async throws -> GuardClient.Response? {
        let list = missing.map { "\"\($0)\"" }.joined(separator: ",")
        return try await client.call(
            "POST", "/lighter/image", body: #"{"Image":"\#(image)","Missing":[\#(list)]}"#)
    }

    private static func unpacked(_ response: GuardClient.Response) throws -> String {
        let decompressor = try ZstdDecompressor()
        decompressor.add(response.data)
        var plain = ByteBuffer()
        while let piece = try decompressor.next() { plain.writeImmutableBuffer(piece) }
        #expect(decompressor.isComplete)
        return String(buffer: plain)
    }

    private static func shipped(_ rig: GuardRig) async throws -> GuardClient {
        let client = try await rig.connect()
        #expect(try await client.call("POST", "/images/load?quiet=1", body: "x")?.status == 200)
        return client
    }

    @Test("go to the node that sent them, without the layers that it has, and the connection goes on")
    func sparse() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            let client = try await Self.shipped(rig)
            for _ in 0..<2 {
                let answer = try #require(try await Self.take(client, missing: [Self.chain[1]]))
                #expect(answer.status == 200 && answer.head.headers.first("Content-Encoding") == "zstd")
                let text = try Self.unpacked(answer)
                #expect(text.contains(Self.layers[1].digest) && text.contains("manifest.json"))
                #expect(!text.contains(Self.layers[0].digest))
            }
            let whole = try #require(try await Self.take(client, missing: Self.chain))
            #expect(try Self.unpacked(whole).contains(Self.layers[0].digest))
        }
    }

    @Test("are those that were sent, pulled or made for it; to any other node they do not exist")
    func rights() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            rig.know(Self.id)
            let stranger = try await rig.connect(peer: PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main))
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await Self.take(client, missing: [])?.status == 404)
            #expect(try await client.call("POST", "/commit?container=web")?.status == 201)
            #expect(try await Self.take(client, missing: [])?.status == 200)
            #expect(try await client.call("GET", "/images/\(Self.image)/history")?.status == 200)
            #expect(try await Self.take(stranger, missing: [])?.status == 404)
            #expect(try await stranger.call("GET", "/images/\(Self.image)/history")?.status == 404)
            #expect(try await stranger.call("DELETE", "/images/\(Self.image)")?.status == 404)
            #expect(try await stranger.call("POST", "/images/create?fromImage=busybox&tag=latest")?.status == 200)
            await engine.waitForPath("GET /images/busybox:latest/json")
            #expect(try await stranger.call("GET", "/_ping") != nil)
            #expect(try await Self.take(stranger, missing: [])?.status == 200)
        }
    }

    @Test("are not the caller's after a pull that failed, or a load of something else")
    func noRights() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            let serve = engine.answer
            engine.answer = { call in
                switch call.head.routePath {
                case "/images/create": .json(["errorDetail": ["message": "no"], "error": "no"])
                case "/images/load": .json(["stream": "Loaded image: busybox:latest\n"])
                default: serve(call)
                }
            }
            let client = try await rig.connect()
            #expect(try await client.call("POST", "/images/create?fromImage=busybox&tag=latest")?.status == 200)
            #expect(try await client.call("POST", "/images/load", body: "x")?.status == 200)
            #expect(try await Self.take(client, missing: [])?.status == 404)
        }
    }

    @Test("are cut short where a layer is not what its digest says")
    func damaged() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine, damaged: true)
            let client = try await Self.shipped(rig)
            #expect(try await Self.take(client, missing: Self.chain) == nil)
            await client.waitForEnd()
        }
    }

    @Test(
        "are not given to a question that is not exactly what it should be",
        arguments: [
            "{}", "[]", #"{"Image":"busybox","Missing":[]}"#, #"{"Image":"\#(GuardLayersTests.text("a"))"}"#,
            #"{"Image":"\#(GuardLayersTests.text("a"))","Missing":["x"]}"#,
            #"{"Image":"\#(GuardLayersTests.text("a"))","Missing":null}"#,
            #"{"Image":"\#(GuardLayersTests.text("a"))","Missing":[],"More":1}"#,
        ])
    func malformed(body: String) async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            let client = try await Self.shipped(rig)
            #expect(try await client.call("POST", "/lighter/image", body: body)?.status == 400)
        }
    }

    @Test("A commit makes an image of the ticket's own container only, without a name, and without our labels")
    func commit() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            rig.know(Self.id)
            let client = try await rig.connect(ticket: rig.ticket())
            let query = "container=web&repo=busybox&tag=latest&comment=c&changes=ENV+A%3D1&changes=USER+b&other=1"
            let body = #"{"labels":{"a":"b","io.lighter.tenant":"x"},"Cmd":["sh"]}"#
            #expect(try await client.call("POST", "/v1.41/commit?\(query)", body: body)?.status == 201)
            let call = try #require(engine.calls.last)
            #expect(
                call.head.target == "/v1.41/commit?container=\(Self.id)&comment=c&changes=ENV%20A%3D1&changes=USER%20b"
            )
            let labels = call.json?["Labels"]
            #expect(labels?["a"] == "b" && labels?["io.lighter.tenant"] == "" && labels?["io.lighter.workload"] == "")
            #expect(call.json?["labels"] == nil && call.json?["Cmd"] == ["sh"])
            #expect(try await client.call("POST", "/commit?container=host-db", body: "null")?.status == 404)
            #expect(try await client.call("POST", "/commit?container=web", body: "[]")?.status == 400)
        }
    }

    @Test("What was made may be removed by whom it was made for, never by force; what was sent stays")
    func removal() async throws {
        try await withGuard { rig, engine in
            Self.serve(engine)
            rig.know(Self.id)
            let sender = try await Self.shipped(rig)
            #expect(try await sender.call("DELETE", "/images/\(Self.image)?force=1")?.status == 403)
        }
        try await withGuard { rig, engine in
            Self.serve(engine)
            rig.know(Self.id)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/commit?container=web", body: "null")?.status == 201)
            #expect(try await client.call("DELETE", "/images/\(Self.image)?force=1")?.status == 200)
            #expect(engine.calls.last?.head.target == "/images/\(Self.image)")
        }
    }

    @Test("Whose images are whose is known after a restart")
    func memory() throws {
        let folder = try ScratchFolder()
        let image = try #require(LayerDigest(Self.image))
        let (one, other) = (try NodeID("edge1"), try NodeID("edge2"))
        let first = ImageRights(path: folder.file("images"))
        first.grant(image, to: one, .made)
        first.grant(image, to: other, .brought)
        first.grant(image, to: other, .made)
        let second = ImageRights(path: folder.file("images"))
        #expect(second.source(of: image, one) == .made)
        #expect(second.source(of: image, other) == .brought)
        #expect(!second.has(image, try NodeID("edge3")))
        let elsewhere = ImageRights(path: "/nonexistent/images")
        elsewhere.grant(image, to: one, .made)
        #expect(elsewhere.has(image, one))
    }

    @Test("The oldest rights are forgotten first, in memory as in the file")
    func bounded() throws {
        let folder = try ScratchFolder()
        let node = try NodeID("edge1")
        let images = (0..<5000).compactMap { number -> LayerDigest? in
            let digits = String(number)
            return LayerDigest("sha256:" + String(repeating: "0", count: 64 - digits.count) + digits)
        }
        let rights = ImageRights(path: folder.file("images"))
        for image in images { rights.grant(image, to: node, .brought) }
        #expect(!rights.has(images[0], node) && rights.has(images[4999], node))
        let again = ImageRights(path: folder.file("images"))
        #expect(!again.has(images[0], node) && again.has(images[4999], node))
        let third = ImageRights(path: folder.file("images"))
        #expect(third.has(images[4999], node))
    }
}
