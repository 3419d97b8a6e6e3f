import DockerAPI
import Engine
import Fleet
import LighterTesting
import Testing

@testable import FrontDoor
@testable import Images

@Suite("Who has which image")
struct HoldingsTests {
    static func image(layers: Int) throws -> LocalImage {
        try #require(
            LocalImage([
                "Id": .string("sha256:" + "ab".repeated(32)), "Size": 300,
                "RootFS": ["Layers": .array((0..<layers).map { .string("\(LayerDigest(of: [UInt8($0)]))") })],
            ]))
    }

    @Test("Sizes of layers are those of the steps that made them, or an even share")
    func sizes() throws {
        let history: [JSON] = [["Size": 0], ["Size": 20], ["Size": 0], ["Size": 100]]
        #expect(LayerBook.layerSizes(history, layers: 2, whole: 300) == [100, 20])
        #expect(LayerBook.layerSizes(history, layers: 4, whole: 300) == [100, 0, 20, 0])
        #expect(LayerBook.layerSizes([], layers: 3, whole: 300) == [100, 100, 100])
        #expect(LayerBook.layerSizes([], layers: 0, whole: 300).isEmpty)
    }

    @Test("The device has its images, and each node says what it lacks")
    func holdings() async throws {
        let image = try Self.image(layers: 2)
        let chain = LayerDigest.chain(of: image.diffIDs)
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                switch request.line {
                case "GET /images/json": .json([["Id": .string(image.id), "RepoTags": ["app:1"]]])
                case "GET /images/\(image.id)/json":
                    .json([
                        "Id": .string(image.id), "Size": 300,
                        "RootFS": ["Layers": .array(image.diffIDs.map { .string("\($0)") })],
                    ])
                case "GET /images/\(image.id)/history": .json([["Size": 50], ["Size": 250]])
                default: .json([:], status: 404)
                }
            }
            let there = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /lighter/layers": .json(["Missing": [.string("\(chain[1])")]])
                case "POST /lighter/held":
                    .json([
                        [
                            "Id": .string(image.id), "Has": false, "Brought": true, "LastUsed": 5, "Pinned": true,
                            "Until": .null,
                        ]
                    ])
                default: .json([:])
                }
            }
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path)
            let answer = try await rig.get("/lighter/images")
            let rows = try JSON.parse(Array(answer.body.utf8))
            #expect(rows[0]?["Names"] == ["app:1"])
            #expect(rows[0]?["Size"] == 300)
            #expect(
                rows[0]?["Nodes"] == [
                    [
                        "Node": "edge1", "Has": true, "Missing": 0, "Brought": false, "LastUsed": .null,
                        "Pinned": false, "Until": .null,
                    ],
                    [
                        "Node": "cloud1", "Has": false, "Missing": 50, "Brought": true, "LastUsed": 5, "Pinned": true,
                        "Until": .null,
                    ],
                ])
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }
}
