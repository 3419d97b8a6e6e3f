import LighterTesting
import NIOCore
import Testing

@testable import Images

@Suite("An archive from another node")
struct UnnamedArchiveTests {
    private static func id() throws -> LayerDigest { try #require(LayerDigest(hex: DockerArchive.imageID)) }

    /// What goes on of an archive, in pieces of this size.
    private func pass(_ bytes: [UInt8], pieces: Int, id: LayerDigest) throws -> [UInt8] {
        var archive = UnnamedArchive(id: id)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            let piece = ByteBuffer(bytes: bytes[start..<min(bytes.count, start + pieces)])
            out += Array(try archive.pass(piece).readableBytesView)
        }
        try archive.finish()
        return out
    }

    private func files(_ bytes: [UInt8]) throws -> [String: [UInt8]] {
        var scanner = TarScanner()
        var input = ByteBuffer(bytes: bytes)
        var files: [String: [UInt8]] = [:]
        var name = ""
        while let event = try scanner.next(&input) {
            switch event {
            case .entry(let entry, _):
                name = entry.name
                #expect(files[name] == nil)
                files[name] = []
            case .content(let content): files[name]? += Array(content.readableBytesView)
            case .entryEnd, .end: break
            }
        }
        #expect(scanner.hasEnded)
        return files
    }

    /// An archive with an id that is that of its configuration, and this manifest.
    private func archive(
        manifest: (_ config: String) -> String, more: (inout TarWriter) -> Void = { _ in }
    ) -> ([UInt8], LayerDigest) {
        let config = Array(#"{"rootfs":{"type":"layers"}}"#.utf8)
        let id = LayerDigest(of: config)
        var tar = TarWriter()
        tar.file("\(id.hex).json", config)
        more(&tar)
        tar.file("manifest.json", Array(manifest("\(id.hex).json").utf8))
        tar.end()
        return (tar.bytes, id)
    }

    @Test("passes whole in either layout, but for what could name it", arguments: [1, 511, 512, 4096, 1 << 20])
    func whole(pieces: Int) throws {
        for bytes in [DockerArchive.old(), DockerArchive.new()] {
            let id = try Self.id()
            let before = try files(bytes)
            let after = try files(try pass(bytes, pieces: pieces, id: id))
            let dropped: Set = ["index.json", "oci-layout"]
            #expect(Set(after.keys) == Set(before.keys).subtracting(dropped))
            for (name, content) in after where name != "manifest.json" { #expect(content == before[name]) }
            #expect(String(decoding: after["manifest.json"] ?? [], as: UTF8.self).contains(#""RepoTags":null"#))
        }
    }

    @Test("loses its names, wherever they are written")
    func names() throws {
        let (bytes, id) = archive(
            manifest: { #"[{"Config":"\#($0)","RepoTags":["busybox:latest"],"Layers":[]}]"# + "\n" },
            more: { tar in
                tar.file("repositories", Array(#"{"busybox":{"latest":"1"}}"#.utf8))
                tar.file("index.json", Array("{}".utf8))
                tar.file("etc/passwd", Array("root".utf8))
                tar.link("blobs", to: "/")
            })
        let after = try files(try pass(bytes, pieces: 700, id: id))
        #expect(Set(after.keys) == ["\(id.hex).json", "manifest.json"])
        let manifest = String(decoding: after["manifest.json"] ?? [], as: UTF8.self)
        #expect(manifest == #"[{"Config":"\#(id.hex).json","RepoTags":null,"Layers":[]}]"# + "\n")
    }

    @Test(
        "is refused where its manifest is not one image's",
        arguments: [
            #"[]"#, #"{}"#, #"[{"Config":"other.json","RepoTags":null,"Layers":[]}]"#,
            #"[{"Config":"ID","RepoTags":null}]"#, #"[{"Config":"ID","Layers":[],"Layers":[]} ,{"a":[]}"#,
            #"[{"Config":"ID","RepoTags":null,"Layers":[]},{"Config":"ID","RepoTags":["a:b"],"Layers":[]}]"#,
            #"[{"Config":"ID","Layers":["a"],"b":["c"]]}]"#, #"[{"Config":"ID","Layers":["a\"]}]"#,
        ])
    func manifests(text: String) throws {
        let (bytes, id) = archive(manifest: { text.replacing("ID", with: $0) })
        do {
            let after = try files(try pass(bytes, pieces: 512, id: id))
            let manifest = String(decoding: after["manifest.json"] ?? [], as: UTF8.self)
            // What can be read as one image may pass as that image alone.
            #expect(manifest.hasPrefix(#"[{"Config":"\#(id.hex).json","RepoTags":null,"Layers":["#), "\(manifest)")
            #expect(!manifest.dropFirst(2).dropLast(3).contains { "{}".contains($0) }, "\(manifest)")
        } catch let error as ImageError {
            #expect(error.code == .malformedArchive)
        }
    }

    /// As an engine saves it that calls an image by the digest of its manifest, or of the index that has it.
    private func linked(
        byIndex: Bool = false, manifest: (_ config: LayerDigest) -> String,
        listing: (LayerDigest) -> LayerDigest = { $0 }
    ) -> ([UInt8], LayerDigest) {
        let config = Array(#"{"rootfs":{"type":"layers"}}"#.utf8)
        let text = Array(manifest(LayerDigest(of: config)).utf8)
        let index = Array(#"{"manifests":[{"digest":"\#(LayerDigest(of: text))","size":1}]}"#.utf8)
        let other = Array("{}".utf8)
        var tar = TarWriter()
        for blob in [config, text, other] + (byIndex ? [index] : []) {
            tar.file("blobs/sha256/\(LayerDigest(of: blob).hex)", blob)
        }
        let listed = "blobs/sha256/\(listing(LayerDigest(of: config)).hex)"
        tar.file("manifest.json", Array(#"[{"Config":"\#(listed)","RepoTags":["a:b"],"Layers":[]}]"#.utf8))
        tar.end()
        return (tar.bytes, LayerDigest(of: byIndex ? index : text))
    }

    @Test("may have the id of a manifest, or of an index of manifests", arguments: [false, true])
    func linked(byIndex: Bool) throws {
        let (bytes, id) = linked(byIndex: byIndex) {
            "{\n   \"schemaVersion\": 2,\n   \"config\": {\n      \"digest\": \"\($0)\"\n   }\n}"
        }
        for pieces in [1, 700, 1 << 20] {
            let after = try files(try pass(bytes, pieces: pieces, id: id))
            let manifest = String(decoding: after["manifest.json"] ?? [], as: UTF8.self)
            #expect(manifest.contains(#""RepoTags":null"#))
        }
    }

    @Test("is refused where a manifest of its id leads to another configuration than is listed")
    func linkedElsewhere() throws {
        let manifest = { (config: LayerDigest) in #"{"config":{"digest":"\#(config)"}}"# }
        let other = LayerDigest(of: Array("{}".utf8))
        let (bytes, id) = linked(manifest: manifest) { _ in other }
        #expect(throws: ImageError.self) { try pass(bytes, pieces: 512, id: id) }
        let (listedWell, sameID) = linked(manifest: { _ in manifest(other) })
        #expect(throws: ImageError.self) { try pass(listedWell, pieces: 512, id: sameID) }
        let (unlinked, _) = linked(manifest: manifest)
        #expect(throws: ImageError.self) { try pass(unlinked, pieces: 512, id: other) }
        var damaged = unlinked
        damaged[515] ^= 1
        #expect(throws: ImageError.self) { try pass(damaged, pieces: 512, id: id) }
    }

    @Test("is refused where the configuration is another image's, is missing, or the end is")
    func damaged() throws {
        let (bytes, id) = archive(manifest: { #"[{"Config":"\#($0)","RepoTags":null,"Layers":[]}]"# })
        let other = LayerDigest(of: [1])
        #expect(throws: ImageError.self) { try pass(bytes, pieces: 512, id: other) }
        #expect(throws: ImageError.self) { try pass(Array(bytes.dropLast(1024)), pieces: 512, id: id) }
        var damaged = bytes
        damaged[513] ^= 1
        #expect(throws: ImageError.self) { try pass(damaged, pieces: 512, id: id) }
        var empty = TarWriter()
        empty.end()
        #expect(throws: ImageError.self) { try pass(empty.bytes, pieces: 512, id: id) }
    }
}
