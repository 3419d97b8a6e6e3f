import Testing

@testable import Images

@Suite("The name of a layer's folder")
struct FolderNameTests {
    private static let chainIDs = DockerArchive.chainIDs.compactMap { LayerDigest($0) }

    @Test("proves which layer it is, for each of an image's that Docker 20.10 saved", arguments: 0..<4)
    func position(of layer: Int) {
        let found = FolderName.position(
            of: DockerArchive.folders[layer], json: DockerArchive.json(layer), in: Self.chainIDs)
        #expect(found == layer)
    }

    @Test("proves nothing when anything differs: another chain, another text, or no JSON at all")
    func unknown() {
        let folder = DockerArchive.folders[1]
        let json = DockerArchive.json(1)
        #expect(FolderName.position(of: folder, json: json, in: [Self.chainIDs[0], Self.chainIDs[2]]) == nil)
        let other = Array(String(decoding: json, as: UTF8.self).replacing("1970", with: "1971").utf8)
        #expect(FolderName.position(of: folder, json: other, in: Self.chainIDs) == nil)
        #expect(FolderName.position(of: DockerArchive.folders[2], json: json, in: Self.chainIDs) == nil)
        for text in ["", "{", "{}", "[]", "{:}", #"{"a"}"#, #"{"a":"}"#, #"{"":}"#, #"{,,}"#, #"{"parent":}"#] {
            #expect(FolderName.position(of: folder, json: Array(text.utf8), in: Self.chainIDs) == nil, "\(text)")
        }
    }
}
