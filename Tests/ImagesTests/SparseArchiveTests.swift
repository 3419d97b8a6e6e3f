import LighterTesting
import NIOCore
import Testing

@testable import Images

@Suite("A sparse archive")
struct SparseArchiveTests {
    enum Layout: String, CaseIterable, Sendable {
        case old, new

        func archive(layers: [[UInt8]] = (0..<4).map(DockerArchive.layer)) -> [UInt8] {
            self == .old ? DockerArchive.old(layers: layers) : DockerArchive.new(layers: layers)
        }
    }

    static let diffIDs = DockerArchive.diffIDs.compactMap { LayerDigest($0) }
    static let chainIDs = LayerDigest.chain(of: diffIDs)

    static func filter(missing: [Int]) -> SparseArchive {
        SparseArchive(diffIDs: diffIDs, missing: Set(missing.map { chainIDs[$0] }))
    }

    /// What is passed on of an archive that comes in these pieces.
    static func pass(_ pieces: [[UInt8]], missing: [Int] = [0, 1, 2, 3]) throws(ImageError) -> [UInt8] {
        var filter = filter(missing: missing)
        var passed = ByteBuffer()
        for piece in pieces { passed.writeImmutableBuffer(try filter.pass(ByteBuffer(bytes: piece))) }
        try filter.finish()
        return Array(passed.readableBytesView)
    }

    /// Names of the entries in an archive.
    static func names(_ archive: [UInt8]) throws -> [String] {
        var scanner = TarScanner()
        var input = ByteBuffer(bytes: archive)
        var names: [String] = []
        while let event = try scanner.next(&input) {
            if case .entry(let entry, _) = event { names.append(entry.name) }
        }
        return names
    }

    /// The file of a layer in a layout.
    static func path(_ position: Int, _ layout: Layout) -> String {
        switch layout {
        case .old: "\(DockerArchive.folders[position])/layer.tar"
        case .new: "blobs/sha256/\(diffIDs[position].hex)"
        }
    }

    @Test("is the whole one, byte for byte, where every layer is missing", arguments: Layout.allCases)
    func whole(layout: Layout) throws {
        #expect(try Self.pass([layout.archive()]) == layout.archive())
    }

    @Test("holds the missing layers and all that is no layer, in both layouts", arguments: Layout.allCases)
    func sparse(layout: Layout) throws {
        let archive = layout.archive()
        for missing in [[], [0], [3], [0, 3], [1, 2, 3]] {
            let dropped = [0, 1, 3].filter { !missing.contains($0) }.map { Self.path($0, layout) }
            let expected = try Self.names(archive).filter { !dropped.contains($0) }
            #expect(try Self.names(Self.pass([archive], missing: missing)) == expected, "\(missing)")
        }
    }

    @Test(
        "keeps a layer that is in the image twice if either is missing: one file stands for both",
        arguments: Layout.allCases)
    func twice(layout: Layout) throws {
        for missing in [[1], [2]] {
            #expect(try Self.names(Self.pass([layout.archive()], missing: missing)).contains(Self.path(1, layout)))
        }
    }

    @Test("does not depend on how the archive was cut", arguments: Layout.allCases)
    func pieces(layout: Layout) throws {
        // Folders, texts and the lowest layer: what follows them only repeats it.
        let start = Array(layout.archive().prefix(5120)) + [UInt8](repeating: 0, count: 1024)
        let missing = layout == .old ? [] : [0]
        let whole = try Self.pass([start], missing: missing)
        #expect(whole.count == start.count - (missing.isEmpty ? 2560 : 0))
        for cut in 1..<start.count {
            #expect(try Self.pass([Array(start[..<cut]), Array(start[cut...])], missing: missing) == whole)
        }
        let archive = layout.archive()
        let sparse = try Self.pass([archive], missing: [3])
        #expect(try Self.pass(archive.map { [$0] }, missing: [3]) == sparse)
    }

    @Test("is known by long names as well: GNU's, pax's, and sizes in base 256")
    func longNames() throws {
        let writers: [(inout TarWriter, String, [UInt8]) -> Void] = [
            { $0.gnu($1, $2) }, { $0.pax($1, $2) }, { $0.binary($1, $2) },
        ]
        for write in writers {
            func archive(_ positions: [Int]) -> [UInt8] {
                var tar = TarWriter()
                for position in positions {
                    write(&tar, "./blobs/sha256/\(Self.diffIDs[position].hex)", DockerArchive.layer(position))
                }
                tar.end()
                return tar.bytes
            }
            #expect(try Self.pass([archive([0, 3])]) == archive([0, 3]))
            #expect(try Self.pass([archive([0, 3])], missing: [3]) == archive([3]))
        }
    }

    @Test("keeps a layer of which it is not known which one it is: the image is never less than whole")
    func unknown() throws {
        var tar = TarWriter()
        tar.file("\(String(repeating: "0", count: 64))/layer.tar", DockerArchive.layer(0))
        tar.end()
        #expect(try Self.pass([tar.bytes], missing: [3]) == tar.bytes)
    }

    @Test("is refused where a layer that is sent is not what its digest says", arguments: Layout.allCases)
    func damagedLayer(layout: Layout) throws {
        var layers = (0..<4).map(DockerArchive.layer)
        layers[3][600] ^= 1
        let archive = layout.archive(layers: layers)
        #expect { try Self.pass([archive], missing: [3]) } throws: { ($0 as? ImageError)?.code == .damagedFile }
        #expect(throws: Never.self) { try Self.pass([archive], missing: [0]) }
    }

    @Test("is refused where the archive ends early, wherever that is", arguments: Layout.allCases)
    func cutShort(layout: Layout) throws {
        let archive = layout.archive()
        for end in stride(from: 0, to: archive.count - 1024, by: 100) {
            #expect(throws: ImageError.self) { try Self.pass([Array(archive[..<end])]) }
        }
    }

    @Test("tells which layer is passing, and which have")
    func progress() throws {
        var filter = Self.filter(missing: [3])
        let archive = DockerArchive.new()
        var seen: [SparseArchive.Moving] = []
        for byte in archive {
            _ = try filter.pass(ByteBuffer(bytes: [byte]))
            if let moving = filter.moving, seen.last != moving { seen.append(moving) }
        }
        #expect(seen.map(\.sent) == Array(0..<2048))
        #expect(Set(seen.map(\.layer)) == [Self.diffIDs[3]] && Set(seen.map(\.size)) == [2048])
        #expect(filter.arrived == [Self.diffIDs[3]])
    }

    @Test("needs memory for headers only, however large a layer is")
    func memory() throws {
        let size: Int64 = 1 << 40
        var tar = TarWriter()
        tar.binary("blobs/sha256/\(Self.diffIDs[0].hex)", [])
        var head = tar.bytes
        // A terabyte in the header, whose checksum is mended: 0x01 in the third byte of eight.
        head[124 + 4 + 2] = UInt8(size >> 40)
        head.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
        let sum = String(head.reduce(0) { $0 + Int($1) }, radix: 8)
        head.replaceSubrange(
            148..<156, with: Array((String(repeating: "0", count: 6 - sum.count) + sum).utf8) + [0, 0x20])
        let chunk = ByteBuffer(repeating: 7, count: 64 << 10)
        for missing in [[], [0]] {
            var filter = Self.filter(missing: missing)
            _ = try filter.pass(ByteBuffer(bytes: head))
            for _ in 0..<64 {
                let passed = try filter.pass(chunk)
                #expect(passed.readableBytes == (missing.isEmpty ? 0 : chunk.readableBytes))
                #expect(filter.input.readableBytes == 0)
            }
        }
        var scanner = TarWriter()
        scanner.file("././@LongLink", [UInt8](repeating: 0x61, count: 2 << 20), kind: "L")
        #expect(throws: ImageError.self) { try Self.pass([scanner.bytes]) }
    }

    @Test("made of garbage is an error or passes, and never more than went in", arguments: 0..<64)
    func garbage(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let archive = Layout.allCases[seed % 2].archive()
        for _ in 0..<40 {
            let damaged = archive.mutated(&random)
            var filter = Self.filter(missing: [Int.random(in: 0..<4, using: &random)])
            var passed = 0
            do throws(ImageError) {
                for piece in damaged.cut(&random) { passed += try filter.pass(ByteBuffer(bytes: piece)).readableBytes }
                try filter.finish()
            } catch {
                #expect(error.message.contains("damaged"))
            }
            // The mark of the end may be completed by a block.
            #expect(passed <= damaged.count + 512)
        }
    }
}
