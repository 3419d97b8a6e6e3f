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

/// Two nodes of which the first has an image of the device's, and the second shall get its layers.
@NodeLoop
private struct Neighbours {
    nonisolated static let configuration = Array("secret configuration".utf8)
    nonisolated static let image = "\(ContextFrame.digest(of: ByteBuffer(bytes: configuration)))"
    /// Random, so that it stays as large as it is; letters, as a fake engine writes text.
    nonisolated static let layers: [[UInt8]] = (0..<2).map { _ in
        var generator = SystemRandomNumberGenerator()
        return (0..<400_000).map { _ in UInt8.random(in: 0x30...0x7a, using: &generator) }
    }
    nonisolated static let diffIDs = layers.map { ContextFrame.digest(of: ByteBuffer(bytes: $0)) }
    nonisolated static let chainIDs = LayerDigest.chain(of: diffIDs)

    let source: GuardRig
    let sourceEngine: FakeEngine
    let target: GuardRig
    let targetEngine: FakeEngine
    let folder: ScratchFolder
    /// The device's streams.
    let toSource: GuardClient
    let toTarget: GuardClient

    static func archive(_ layers: [[UInt8]] = layers) -> [UInt8] {
        var tar = TarWriter()
        for (layer, digest) in zip(layers, diffIDs) { tar.file("blobs/sha256/\(digest.hex)", layer) }
        tar.file("blobs/sha256/\(image.dropFirst(7))", configuration)
        tar.file("manifest.json", Array("[]".utf8))
        tar.end()
        return tar.bytes
    }

    static func serve(_ engine: FakeEngine) {
        engine.answer = { call in
            switch "\(call.head.method) \(call.head.routePath)" {
            case "GET /images/json": return .json([["Id": .string(image)]])
            case "GET /images/\(image)/json":
                return .json([
                    "Id": .string(image), "RootFS": ["Layers": .array(diffIDs.map { .string("\($0)") })],
                ])
            case "GET /images/\(image)/get":
                let bytes = archive()
                return .raw(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n\(String(decoding: bytes, as: UTF8.self))"
                )
            case "POST /images/load": return .json(["stream": .string("Loaded image ID: \(image)\n")])
            default: return .json(["message": "no"], status: 404)
            }
        }
    }

    static func with(
        gives: Bool = true, tick: Duration = .seconds(5), _ body: @NodeLoop (Neighbours) async throws -> Void
    ) async throws {
        let folder = try ScratchFolder()
        try await withGuard(configure: { $0.givesLayers = gives }) { source, sourceEngine in
            serve(sourceEngine)
            let targetEngine = FakeEngine()
            try await targetEngine.start()
            targetEngine.answer = { call in
                call.head.routePath == "/images/load" ? .json(["stream": "yes"]) : .json([])
            }
            let target = try await GuardRig(node: "cloud2", engine: targetEngine.path) {
                $0.layers = folder.file("layers")
                $0.fetchTick = tick
            }
            let node = target.node
            let dialer = source.dialer(as: node)
            target.desk.neighbour = { _ in dialer }
            let scene = Neighbours(
                source: source, sourceEngine: sourceEngine, target: target, targetEngine: targetEngine, folder: folder,
                toSource: try await source.connect(), toTarget: try await target.connect())
            // The device has sent it there once.
            #expect(try await scene.toSource.call("POST", "/images/load?quiet=1", body: "x")?.status == 200)
            do { try await body(scene) } catch {
                await target.stop()
                await targetEngine.stop()
                throw error
            }
            await target.stop()
            await targetEngine.stop()
        }
    }

    static func quoted(_ digests: some Sequence<LayerDigest>) -> String {
        digests.map { "\"\($0)\"" }.joined(separator: ",")
    }

    func offer(
        by client: GuardClient? = nil, to node: String = "cloud2", _ layers: [LayerDigest] = chainIDs
    ) async throws -> GuardClient.Response? {
        try await (client ?? toSource).call(
            "POST", "/lighter/offer", body: #"{"ChainIDs":[\#(Self.quoted(layers))],"To":"\#(node)"}"#)
    }

    func word(_ layers: [LayerDigest] = chainIDs) async throws -> String {
        try #require(try await offer(layers)?.json?["Word"]?.stringValue)
    }

    func offer(_ layers: [LayerDigest]) async throws -> GuardClient.Response? { try await offer(by: nil, layers) }

    /// What the target says of getting layers: the lines, of which the last is the outcome.
    func fetch(_ word: String, _ layers: [LayerDigest] = diffIDs, pace: Int = 0) async throws -> [JSON] {
        let body = #"{"From":"cloud1","Word":"\#(word)","Layers":[\#(Self.quoted(layers))],"Pace":\#(pace)}"#
        let answer = try #require(try await toTarget.call("POST", "/lighter/fetch", body: body))
        #expect(answer.status == 200, "\(answer.body)")
        return answer.body.split(separator: "\n").compactMap { try? JSON.parse(Array($0.utf8)) }
    }

    /// Bytes of each layer that the target has for the device.
    func kept() async throws -> [LayerDigest: Int64] {
        let answer = try await GuardLayersTests.ask(toTarget, Self.chainIDs)
        return try #require(Guard.sizes(answer?.json?["Kept"]))
    }

    static func list(_ json: JSON?) -> Set<String> { Set(json?.arrayValue?.compactMap(\.stringValue) ?? []) }

    /// Makes the target's neighbour one that answers whatever it wants.
    func replaceNeighbour(_ engine: FakeEngine) {
        let dialer = UnixDialer(path: engine.path)
        target.desk.neighbour = { _ in dialer }
    }

    /// What a neighbour gives, with these layers' bytes in it.
    static func gift(_ layers: [[UInt8]], kept: [LayerDigest: Int64] = [:]) throws -> ByteBuffer {
        // Marked by hand: a sparse archive would find what is wrong.
        var plain = ByteBuffer()
        for (layer, digest) in zip(layers, diffIDs) {
            let known = Int(kept[digest] ?? 0)
            var tar = TarWriter()
            tar.file(".lighter/\(digest.hex)/\(known)", [])
            plain.writeBytes(tar.bytes)
            var file = TarWriter()
            file.file("blobs/sha256/\(digest.hex)", layer)
            plain.writeBytes(file.bytes.prefix(512))
            plain.writeBytes(file.bytes.dropFirst(512 + known))
        }
        var end = TarWriter()
        end.end()
        plain.writeBytes(end.bytes)
        return try GuardLayersTests.compressed(plain)
    }

    static func answer(_ body: ByteBuffer, cutAt length: Int? = nil) -> FakeEngine.Answer {
        var bytes = ByteBuffer(
            string: "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: \(body.readableBytes)\r\n\r\n")
        bytes.writeBytes(body.readableBytesView.prefix(length ?? body.readableBytes))
        return .bytes(bytes, closing: length != nil)
    }
}

@Suite("Layers from a neighbour", .timeLimit(.minutes(1)))
@NodeLoop
struct GuardNeighboursTests {
    @Test("are there for the device's load, which leaves them out and is whole at the engine")
    func whole() async throws {
        try await Neighbours.with { scene in
            let offer = try #require(try await scene.offer())
            #expect(offer.status == 200, "\(offer.body)")
            #expect(Neighbours.list(offer.json?["Layers"]) == Set(Neighbours.chainIDs.map { "\($0)" }))
            let lines = try await scene.fetch(try #require(offer.json?["Word"]?.stringValue))
            let last = try #require(lines.last)
            #expect(last["Error"] == nil, "\(last)")
            #expect(Neighbours.list(last["Arrived"]) == Set(Neighbours.diffIDs.map { "\($0)" }))
            #expect(lines.contains { $0["Layer"] != nil && $0["Size"]?.intValue == 400_000 })
            let kept = try await scene.kept()
            #expect(kept == Dictionary(uniqueKeysWithValues: Neighbours.diffIDs.map { ($0, Int64(400_000)) }))
            var archive = SparseArchive(
                diffIDs: Neighbours.diffIDs, missing: Set(Neighbours.chainIDs), kept: kept)
            let sent = try GuardLayersTests.compressed(
                try archive.pass(ByteBuffer(bytes: Neighbours.archive())))
            #expect(sent.readableBytes < 2000)
            scene.toTarget.send(
                "POST /images/load?quiet=1 HTTP/1.1\r\nHost: d\r\nContent-Encoding: zstd\r\n"
                    + "X-Lighter-Layers: marked\r\nContent-Length: \(sent.readableBytes)\r\n\r\n")
            try await scene.toTarget.send(sent)
            #expect(try await scene.toTarget.response(method: "POST")?.status == 200)
            let load = try #require(scene.targetEngine.calls.last { $0.head.routePath == "/images/load" })
            #expect(Array(load.body.readableBytesView) == Neighbours.archive())
            #expect(try await scene.kept().isEmpty)
        }
    }

    @Test("are the promised ones, and nothing of the image besides")
    func parcel() async throws {
        try await Neighbours.with { scene in
            let word = try await scene.word([Neighbours.chainIDs[1]])
            let peer = try await scene.source.connect(
                peer: PeerIdentity(role: .node(scene.target.node), tenant: .main))
            let answer = try #require(
                try await peer.call("POST", "/lighter/give", body: #"{"Word":"\#(word)","Kept":{}}"#))
            let decoder = try PlainDecoder()
            decoder.add(answer.data)
            var text = ""
            while let piece = try decoder.next() { text += String(buffer: piece) }
            #expect(text.contains(Neighbours.diffIDs[1].hex) && !text.contains(Neighbours.diffIDs[0].hex))
            #expect(!text.contains("secret configuration") && !text.contains("manifest"))
            // It was not promised, and so it does not come, whatever the device asks the target for.
            let last = try await scene.fetch(try await scene.word([Neighbours.chainIDs[1]])).last
            #expect(Neighbours.list(last?["Arrived"]) == ["\(Neighbours.diffIDs[1])"])
        }
    }

    @Test("are not offered to a device whose they are not, though they are there")
    func notEntitled() async throws {
        try await Neighbours.with { scene in
            let stranger = try await scene.source.connect(
                peer: PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main))
            #expect(try await scene.offer(by: stranger)?.json == ["Layers": []])
            let other = try await scene.source.connect(
                peer: PeerIdentity(role: .node(scene.source.origin), tenant: try TenantID("other")))
            #expect(try await scene.offer(by: other)?.status == 403)
        }
    }

    @Test("are given to nobody but the node they were promised to, and not for a word that is none")
    func words() async throws {
        try await Neighbours.with { scene in
            func take(_ word: String, as node: String) async throws -> Int? {
                let peer = try await scene.source.connect(
                    peer: PeerIdentity(role: .node(try NodeID(node)), tenant: .main))
                defer { Task { await peer.close() } }
                return try await peer.call("POST", "/lighter/give", body: #"{"Word":"\#(word)","Kept":{}}"#)?.status
            }
            let word = try await scene.word()
            #expect(try await take(word, as: "cloud3") == 404)
            // Not even to the device itself, which has other ways.
            #expect(try await take(word, as: "edge1") == 404)
            #expect(try await take("", as: "cloud2") == 404)
            #expect(try await take(String(repeating: "0", count: 64), as: "cloud2") == 404)
            for _ in 0..<4 { #expect(try await take(word, as: "cloud2") == 200) }
            #expect(try await take(word, as: "cloud2") == 404)
        }
    }

    @Test("are not given where the node's owner does not want it")
    func off() async throws {
        try await Neighbours.with(gives: false) { scene in
            let answer = try #require(try await scene.offer())
            #expect(answer.status == 403 && answer.message.contains("give_layers"))
            let body = #"{"Word":"x","Kept":{}}"#
            #expect(try await scene.toSource.call("POST", "/lighter/give", body: body)?.status == 403)
        }
    }

    @Test("that are wrong are not kept, and the device hears of it")
    func wrong() async throws {
        try await Neighbours.with { scene in
            let liar = FakeEngine()
            try await liar.start()
            var wrong = Neighbours.layers
            wrong[1][300_000] ^= 1
            let gift = try Neighbours.gift(wrong)
            liar.answer = { _ in Neighbours.answer(gift) }
            scene.replaceNeighbour(liar)
            let last = try await scene.fetch("word").last
            #expect(last?["Error"] != nil)
            #expect(Neighbours.list(last?["Arrived"]) == ["\(Neighbours.diffIDs[0])"])
            #expect(try await scene.kept() == [Neighbours.diffIDs[0]: 400_000])
            await liar.stop()
        }
    }

    @Test("that a cut interrupts go on where they were, and what had come wrong till then is found out")
    func cut() async throws {
        for isWrong in [false, true] {
            try await Neighbours.with { scene in
                let broken = FakeEngine()
                try await broken.start()
                var layers = Neighbours.layers
                if isWrong { layers[1][10] ^= 1 }
                let gift = try Neighbours.gift(layers)
                broken.answer = { _ in Neighbours.answer(gift, cutAt: gift.readableBytes * 3 / 4) }
                let real = scene.target.desk.neighbour
                scene.replaceNeighbour(broken)
                #expect(try await scene.fetch("word").last?["Error"] != nil)
                let kept = try await scene.kept()
                #expect(kept[Neighbours.diffIDs[0]] == 400_000)
                let part = try #require(kept[Neighbours.diffIDs[1]])
                #expect((50_000..<350_000).contains(part))
                scene.target.desk.neighbour = real
                let last = try #require(try await scene.fetch(try await scene.word()).last)
                #expect(Int64(last["Bytes"]?.intValue ?? .max) < 400_000 - part + 5000)
                if isWrong {
                    #expect(Neighbours.list(last["Arrived"]) == ["\(Neighbours.diffIDs[0])"])
                    #expect(try await scene.kept()[Neighbours.diffIDs[1]] == nil)
                } else {
                    #expect(Neighbours.list(last["Arrived"]).count == 2, "\(last)")
                }
                await broken.stop()
            }
        }
    }

    @Test("that do not come, or come too slowly, are not waited for")
    func slow() async throws {
        try await Neighbours.with(tick: .milliseconds(200)) { scene in
            let mute = FakeEngine()
            try await mute.start()
            mute.answer = { _ in .later }
            scene.replaceNeighbour(mute)
            let lines = try await scene.fetch("word")
            #expect(lines.last?["Error"]?.stringValue?.contains("nothing has come") == true, "\(lines)")
            #expect(lines.contains([:]), "the device hears that it is waited for")
            let gift = try Neighbours.gift(Neighbours.layers)
            mute.answer = { _ in
                var bytes = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(gift.readableBytes)\r\n\r\n")
                bytes.writeBytes(gift.readableBytesView.prefix(300_000))
                return .bytes(bytes, closing: false)
            }
            let late = try await scene.fetch("word", pace: 1 << 20).last
            #expect(late?["Error"]?.stringValue?.contains("too slow") == true, "\(late ?? .null)")
            await mute.stop()
        }
    }

    @Test("of a neighbour that is not there, or refuses, are an outcome that says so")
    func refused() async throws {
        try await Neighbours.with { scene in
            let unknown = try await scene.fetch("word").last
            #expect(unknown?["Error"]?.stringValue?.contains("nothing was promised") == true)
            scene.target.desk.neighbour = { _ in UnixDialer(path: "/nonexistent") }
            let gone = try await scene.fetch("word").last
            #expect(gone?["Error"] != nil)
            scene.target.desk.neighbour = nil
            let body = #"{"From":"cloud1","Word":"w","Layers":[\#(Neighbours.quoted(Neighbours.diffIDs))],"Pace":0}"#
            let off = try await scene.toTarget.call("POST", "/lighter/fetch", body: body)
            #expect(off?.status == 501)
        }
    }

    @Test("are asked for in so many words, or not at all", arguments: ["offer", "give", "fetch"])
    func malformed(path: String) async throws {
        try await Neighbours.with { scene in
            let digest = "\"\(Neighbours.diffIDs[0])\""
            let many = [String](repeating: digest, count: 129).joined(separator: ",")
            let bodies = [
                "{}", "[]", #"{"ChainIDs":[],"To":"cloud2"}"#, #"{"ChainIDs":[\#(digest)],"To":"cloud1"}"#,
                #"{"ChainIDs":[\#(digest)],"To":"no/node"}"#, #"{"ChainIDs":[\#(many)],"To":"cloud2"}"#,
                #"{"Word":1,"Kept":{}}"#, #"{"Word":"w","Kept":{"x":1}}"#, #"{"Word":"w","Kept":{\#(digest):-1}}"#,
                #"{"From":"cloud2","Word":"w","Layers":[\#(digest)],"Pace":0}"#,
                #"{"From":"edge1","Word":"w","Layers":[\#(digest)],"Pace":0}"#,
                #"{"From":"cloud1","Word":"w","Layers":[],"Pace":0}"#,
                #"{"From":"cloud1","Word":"w","Layers":[\#(digest)],"Pace":-1}"#,
            ]
            let client = path == "fetch" ? scene.toTarget : scene.toSource
            for body in bodies {
                let answer = try await client.call("POST", "/lighter/\(path)", body: body)
                #expect(answer?.status == 400, "\(body)")
            }
            let got = try await client.call("GET", "/lighter/\(path)")
            #expect(got?.status == 403)
        }
    }

    @Test("are promised for a time, so often, and to so many; the oldest promise of a device makes room for its next")
    func promises() throws {
        let offers = LayerOffers()
        let (edge, cloud) = (try NodeID("edge1"), try NodeID("cloud2"))
        let image = try #require(GuardLayersTests.digest("a"))
        func add(_ origin: NodeID, at now: Double) -> String? {
            offers.add(
                LayerOffers.Offer(
                    origin: origin, receiver: cloud, image: image, layers: [image], expires: now + LayerOffers.lifetime),
                at: now)
        }
        let first = try #require(add(edge, at: 0))
        #expect(first.utf8.count == 64)
        #expect(offers.use(first, by: cloud, at: LayerOffers.lifetime - 1) != nil)
        #expect(offers.use(first, by: cloud, at: LayerOffers.lifetime) == nil)
        let words = (0...LayerOffers.limitPerOrigin).compactMap { add(edge, at: 1000 + Double($0)) }
        #expect(Set(words).count == LayerOffers.limitPerOrigin + 1)
        #expect(offers.use(words[0], by: cloud, at: 1100) == nil)
        #expect(offers.use(words[1], by: cloud, at: 1100) != nil)
        var refused = 0
        for number in 0..<20 {
            let device = try NodeID("device\(number)")
            for _ in 0..<LayerOffers.limitPerOrigin where add(device, at: 1100) == nil { refused += 1 }
        }
        #expect(refused > 0)
        var turns = Turns(limit: 3, perNode: 2)
        for node in [edge, edge, cloud] { turns.begin(node) }
        #expect(!turns.isFree(for: edge) && !turns.isFree(for: cloud))
        turns.end(edge)
        #expect(turns.isFree(for: edge) && turns.isFree(for: cloud))
        turns.begin(cloud)
        turns.end(edge)
        #expect(!turns.isFree(for: cloud) && turns.isFree(for: edge))
    }
}
