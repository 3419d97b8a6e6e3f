import Testing

@testable import Images

@Suite("Digests of layers")
struct LayerDigestTests {
    static let busybox = "sha256:" + String(repeating: "0f", count: 32)

    @Test("are read as Docker writes them, and nothing else is")
    func reading() {
        #expect(LayerDigest(Self.busybox)?.description == Self.busybox)
        #expect(LayerDigest(Self.busybox)?.short == "0f0f0f0f0f0f")
        for bad in [
            "", "sha256:", String(Self.busybox.dropLast()), Self.busybox + "0", Self.busybox.uppercased(),
            "sha512:" + String(repeating: "0f", count: 32), "sha256:" + String(repeating: "0g", count: 32),
        ] {
            #expect(LayerDigest(bad) == nil, "\(bad)")
        }
    }

    @Test("are chained as an engine chains them: these are an image's of Docker 20.10, from its own layer store")
    func chain() throws {
        let diffs = try DockerArchive.diffIDs.map { try #require(LayerDigest($0)) }
        #expect(LayerDigest.chain(of: diffs).map(\.description) == DockerArchive.chainIDs)
        #expect(LayerDigest.chain(of: []) == [])
    }

    @Test("The id of an image is read with and without the algorithm's name, a layer's only with it")
    func imageID() {
        let hex = String(repeating: "0f", count: 32)
        #expect(LayerDigest(imageID: hex)?.description == "sha256:\(hex)")
        #expect(LayerDigest(imageID: "sha256:\(hex)")?.description == "sha256:\(hex)")
        #expect(LayerDigest(hex) == nil)
        #expect(LayerDigest(imageID: "busybox") == nil)
    }
}
