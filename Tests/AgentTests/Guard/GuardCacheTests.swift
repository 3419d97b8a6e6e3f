import Compression
import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Testing
import Trust

@testable import Agent

/// An engine's images, as a test changes them; what it refuses, it refuses in Docker's way.
@NodeLoop
private final class ImageStore {
    struct Image {
        var names: [String] = []
        var layers: [Character] = []
        var parent: Character?
    }

    var images: [Character: Image] = [:]
    /// The images of its containers.
    var containers: [Character] = []
    /// What the next load or pull brings.
    var incoming: (digit: Character, image: Image)?
    /// What a build says.
    var said: [String] = []
    private(set) var deleted: [String] = []
    var keepsAll = false
    private(set) var refusals = 0

    private func image(_ reference: String) -> Character? {
        images.first { GuardLayersTests.text($0.key) == reference || $0.value.names.contains(reference) }?.key
    }

    func serve(_ engine: FakeEngine) {
        engine.answer = { [self] call in
            let path = call.head.routePath
            switch "\(call.head.method) \(path)" {
            case "GET /images/json":
                return .json(
                    .array(
                        images.map { id, image in
                            [
                                "Id": .string(GuardLayersTests.text(id)), "Size": .int(Int64(100 * image.layers.count)),
                                "RepoTags": image.names.isEmpty
                                    ? ["<none>:<none>"] : .array(image.names.map { .string($0) }),
                                "ParentId": .string(image.parent.map { GuardLayersTests.text($0) } ?? ""),
                            ]
                        }))
            case "GET /containers/json":
                return .json(.array(containers.map { ["ImageID": .string(GuardLayersTests.text($0))] }))
            case "POST /images/load":
                if let incoming { images[incoming.digit] = incoming.image }
                return .json(["stream": .string("Loaded image ID: \(GuardLayersTests.text(incoming?.digit ?? "0"))\n")])
            case "POST /images/create":
                if let incoming { images[incoming.digit] = incoming.image }
                return .json(["status": "Status: Downloaded newer image"])
            case "POST /build":
                if let incoming { images[incoming.digit] = incoming.image }
                let lines = said.map { JSON.object(.init([.init(key: "stream", value: .string($0 + "\n"))])).text }
                let text = lines.joined(separator: "\r\n") + "\r\n" + #"{"errorDetail":{"message":"no"},"error":"no"}"#
                return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
            case "POST /containers/create":
                return .json(["Id": .string(String(repeating: "e", count: 64))], status: 201)
            default: return self.about(call)
            }
        }
    }

    private func about(_ call: FakeEngine.Call) -> FakeEngine.Answer {
        let path = call.head.routePath.dropFirst("/images/".count)
        let missing = FakeEngine.Answer.json(["message": "No such image"], status: 404)
        if call.head.method == "DELETE" {
            guard let id = image(String(path)), let image = images[id] else { return missing }
            #expect(call.head.target.hasSuffix("?noprune=1"), "\(call.head.target)")
            guard !keepsAll, !containers.contains(id), !images.values.contains(where: { $0.parent == id }) else {
                refusals += 1
                return .json(["message": "conflict"], status: 409)
            }
            deleted.append(String(path))
            let left = image.names.filter { $0 != path }
            images[id] = left.isEmpty ? nil : Image(names: left, layers: image.layers)
            return .json([["Deleted": .string(GuardLayersTests.text(id))]])
        }
        let isHistory = path.hasSuffix("/history")
        guard let id = image(String(path.dropLast(isHistory ? 8 : 5))), let image = images[id] else { return missing }
        if isHistory { return .json(.array(image.layers.map { _ in ["Size": 100] })) }
        return .json([
            "Id": .string(GuardLayersTests.text(id)), "RepoTags": .array(image.names.map { .string($0) }),
            "RootFS": ["Layers": .array(image.layers.map { .string(GuardLayersTests.text($0)) })],
        ])
    }
}

@Suite("Images that Lighter brought, in a node's bound")
@NodeLoop
struct GuardCacheTests {
    /// A guard that keeps so many bytes of images, none for its own sake.
    private static func with(
        bound: Int64 = 0, keep: Double = 0, acceptsBuilds: Bool = false, free: Headroom.Free = Headroom.Free(),
        _ body: @NodeLoop (GuardRig, ImageStore) async throws -> Void
    ) async throws {
        var policy = GuardPolicy()
        policy.acceptsBuilds = acceptsBuilds
        try await withGuard(policy: policy, free: free) {
            $0.imageCache = .bytes(ByteCount(bound))
            $0.imageCacheKeep = keep
        } _: { rig, engine in
            let store = ImageStore()
            store.serve(engine)
            try await body(rig, store)
        }
    }

    /// An image comes from a node, and the guard has looked whether there is room.
    private static func ship(
        _ digit: Character, _ layers: [Character], _ rig: GuardRig, _ store: ImageStore, by node: String = "edge1"
    ) async throws {
        store.incoming = (digit, .init(names: store.images[digit]?.names ?? [], layers: layers))
        let peer = PeerIdentity(role: .node(try NodeID(node)), tenant: .main)
        let client = try await rig.connect(peer: peer)
        #expect(try await client.call("POST", "/images/load?quiet=1", body: "x")?.status == 200)
        await rig.desk.tidyImages()
    }

    private static func event(_ action: String, _ id: String) throws -> EngineEvent {
        try EngineEvent(
            ByteBuffer(string: #"{"Type":"image","Action":"\#(action)","Actor":{"ID":"\#(id)"},"timeNano":1}"#))
    }

    @Test("What was shipped goes when the bound is passed; what was there before never does")
    func bound() async throws {
        try await Self.with { rig, store in
            store.images["f"] = .init(names: ["owner:1"], layers: ["1"])
            store.images["e"] = .init(layers: ["2"])
            try await Self.ship("e", ["2"], rig, store)
            try await Self.ship("a", ["3"], rig, store)
            #expect(store.deleted == [GuardLayersTests.text("a")])
            #expect(Set(store.images.keys) == ["e", "f"])
        }
        try await Self.with(bound: 200) { rig, store in
            try await Self.ship("a", ["1"], rig, store)
            try await Self.ship("b", ["2"], rig, store)
            #expect(store.deleted.isEmpty)
        }
    }

    @Test("A disk that is too full makes room, whatever the bound")
    func disk() async throws {
        let full = Headroom.Free(disk: .mebibytes(600))
        try await Self.with(bound: 1 << 40, free: full) { rig, store in
            try await Self.ship("a", ["1"], rig, store)
            #expect(store.images.isEmpty)
        }
    }

    @Test("What a container uses, running or not, what is held and what was used just now stays")
    func used() async throws {
        try await Self.with { rig, store in
            store.containers = ["a"]
            try await Self.ship("a", ["1"], rig, store)
            #expect(store.images["a"] != nil)
            store.containers = []
            await rig.desk.tidyImages()
            #expect(store.images["a"] == nil)
        }
        try await Self.with(keep: 60) { rig, store in
            try await Self.ship("a", ["1"], rig, store)
            #expect(store.images["a"] != nil && rig.desk.cache.entries.count == 1)
        }
    }

    @Test("What a sender counts on stays as long as anything is sent, also where that takes longer than it is kept")
    func counted() async throws {
        try await Self.with(bound: 200) { rig, store in
            try await Self.ship("a", ["1", "2"], rig, store)
            let chain = LayerDigest.chain(of: "12".compactMap { GuardLayersTests.digest($0) })
            let client = try await rig.connect()
            let question = #"{"ChainIDs":["\#(chain[0])"]}"#
            #expect(try await client.call("POST", "/lighter/layers?hold=1", body: question)?.json?["Missing"] == [])
            rig.desk.ownWork.begin("load")
            try await Self.ship("b", ["3"], rig, store)
            #expect(store.images["a"] != nil && store.images["b"] == nil)
            rig.desk.ownWork.end("load", at: GuardRig.now)
            try await Self.ship("b", ["3"], rig, store)
            #expect(store.images["a"] == nil && store.images["b"] != nil)
        }
    }

    @Test("What the owner tags, pulls or loads is the owner's from then on")
    func owned() async throws {
        for action in ["tag", "load"] {
            try await Self.with(keep: 60) { rig, store in
                try await Self.ship("a", ["1"], rig, store)
                rig.desk.ownWork = OwnWork()
                rig.desk.note(try Self.event(action, GuardLayersTests.text("a")))
                #expect(rig.desk.cache.isEmpty, "\(action)")
            }
        }
        try await Self.with(keep: 60) { rig, store in
            try await Self.ship("a", ["1"], rig, store)
            rig.desk.note(try Self.event("load", GuardLayersTests.text("a")))
            #expect(!rig.desk.cache.isEmpty)
            store.images["a"]?.names = ["mine:1"]
            await rig.desk.tidyImages()
            #expect(rig.desk.cache.isEmpty)
        }
    }

    @Test("What was pulled goes with the name that the pull gave it, unless that name was the owner's")
    func pulled() async throws {
        for isOwners in [false, true] {
            try await Self.with { rig, store in
                if isOwners { store.images["f"] = .init(names: ["app:1"], layers: ["9"]) }
                store.incoming = ("a", .init(names: ["app:1"], layers: ["1"]))
                let client = try await rig.connect()
                #expect(try await client.call("POST", "/images/create?fromImage=app&tag=1")?.status == 200)
                await rig.desk.noting?.value
                if isOwners { store.images["f"]?.names = [] }
                rig.desk.note(try Self.event("pull", "app:1"))
                await rig.desk.tidyImages()
                #expect(store.deleted == (isOwners ? [] : ["app:1"]))
            }
        }
    }

    @Test("A pull of the owner's own makes it the owner's")
    func repulled() async throws {
        try await Self.with(keep: 60) { rig, store in
            store.incoming = ("a", .init(names: ["app:1"], layers: ["1"]))
            let client = try await rig.connect()
            #expect(try await client.call("POST", "/images/create?fromImage=app&tag=1")?.status == 200)
            await rig.desk.noting?.value
            #expect(rig.desk.cache.entries.values.map(\.names) == [["app:1"]])
            rig.desk.ownWork = OwnWork()
            rig.desk.note(try Self.event("pull", "other:1"))
            #expect(!rig.desk.cache.isEmpty)
            // Podman's way.
            rig.desk.ownWork.begin("pull app:1")
            let id = GuardLayersTests.text("a").dropFirst(7)
            let text =
                #"{"Type":"image","Action":"pull","Actor":{"ID":"\#(id)","Attributes":{"name":"docker.io/library/app:1"}}}"#
            rig.desk.note(try EngineEvent(ByteBuffer(string: text)))
            #expect(!rig.desk.cache.isEmpty)
            rig.desk.ownWork = OwnWork()
            rig.desk.note(try Self.event("pull", "app:1"))
            #expect(rig.desk.cache.isEmpty)
        }
    }

    @Test("An image that the engine keeps is not asked for again at once")
    func refused() async throws {
        try await Self.with { rig, store in
            store.keepsAll = true
            for _ in 0..<2 { try await Self.ship("a", ["1"], rig, store) }
            #expect(store.refusals == 1 && rig.desk.cache.entries.count == 1)
        }
    }

    @Test("A pinned image stays until its pin ends; one that is not the caller's cannot be pinned")
    func pinned() async throws {
        try await Self.with(bound: 250, keep: 0) { rig, store in
            try await Self.ship("a", ["1"], rig, store)
            let client = try await rig.connect()
            let other = try await rig.connect(peer: PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main))
            func pin(_ client: GuardClient, _ digit: Character, _ time: String) async throws -> GuardClient.Response? {
                try await client.call(
                    "POST", "/lighter/pin", body: #"{"Image":"\#(GuardLayersTests.text(digit))","For":\#(time)}"#)
            }
            #expect(try await pin(other, "a", "null")?.status == 404)
            #expect(try await pin(client, "b", "null")?.status == 404)
            #expect(try await pin(client, "a", "null")?.json == ["Brought": true])
            try await Self.ship("b", ["2"], rig, store)
            try await Self.ship("c", ["3"], rig, store)
            #expect(Set(store.images.keys).isSuperset(of: ["a"]) && store.images.count == 2)
            let held = try await client.call(
                "POST", "/lighter/held", body: #"{"Images":["\#(GuardLayersTests.text("a"))"]}"#)
            #expect(held?.json?[0]?["Pinned"] == true && held?.json?[0]?["Brought"] == true)
            #expect(try await pin(client, "c", "60")?.message.contains("unpin another") == true)
            #expect(try await pin(client, "a", "0")?.status == 200)
            #expect(rig.desk.cache.entries.values.allSatisfy { $0.pins.isEmpty })
            #expect(try await pin(client, "a", "-1")?.status == 400)
        }
    }

    @Test("An image that only another node brought does not exist for a node, until it has sent it too")
    func foreign() async throws {
        try await Self.with(bound: 1000) { rig, store in
            store.images["f"] = .init(names: ["owner:1"], layers: ["9"])
            try await Self.ship("a", ["1"], rig, store, by: "edge2")
            let id = GuardLayersTests.text("a")
            let client = try await rig.connect(ticket: rig.ticket())
            func create(_ image: String) async throws -> GuardClient.Response? {
                try await client.call("POST", "/containers/create", body: #"{"Image":"\#(image)"}"#)
            }
            for image in [id, String(id.dropFirst(7)), String(id.dropFirst(7).prefix(12))] {
                #expect(try await create(image)?.message == "No such image: \(image)")
                #expect(try await client.call("GET", "/images/\(image)/json")?.status == 404)
            }
            #expect(try await client.call("GET", "/images/owner:1/json")?.status == 200)
            try await Self.ship("a", ["1"], rig, store)
            #expect(try await client.call("GET", "/images/\(id)/json")?.status == 200)
            #expect(try await create(id)?.status == 201)
        }
    }

    @Test("What a failed build leaves behind goes, too; what it found goes not")
    func builds() async throws {
        try await Self.with(acceptsBuilds: true) { rig, store in
            store.images["f"] = .init(names: ["base:1"], layers: ["1"])
            store.images["e"] = .init(layers: ["1", "2"], parent: "f")
            store.said = ["Step 1/3 : FROM base"]
            store.said += "fea".map { " ---> " + String(repeating: $0, count: 12) }
            let client = try await rig.connect(ticket: rig.ticket())
            store.incoming = ("a", .init(layers: ["1", "2", "3"], parent: "e"))
            let context = try ZstdCompressor()
            var body = try context.compress(ByteBuffer(string: "x"))
            body.writeImmutableBuffer(try context.finish())
            client.send(
                "POST /build HTTP/1.1\r\nHost: d\r\nContent-Encoding: zstd\r\nContent-Length: \(body.readableBytes)\r\n\r\n"
            )
            try await client.send(body)
            _ = try await client.response(method: "POST")
            await rig.desk.noting?.value
            await rig.desk.tidyImages()
            #expect(store.deleted == [GuardLayersTests.text("a")])
        }
    }
}
