import Compression
import NIOCore
import Testing

@testable import Images

@Suite("Layers that a neighbour gives")
struct LayerIntakeTests {
    typealias Layout = SparseArchiveTests.Layout
    private static let diffIDs = SparseArchiveTests.diffIDs

    /// What a neighbour gives of an image: these layers, to one that has so many bytes of each.
    private static func parcel(
        _ layout: Layout, _ positions: [Int], kept: [LayerDigest: Int64] = [:]
    ) throws -> [UInt8] {
        var archive = SparseArchive(
            diffIDs: diffIDs, missing: Set(positions.map { SparseArchiveTests.chainIDs[$0] }), kept: kept,
            isParcel: true)
        var bytes: [UInt8] = []
        let whole = layout.archive()
        for start in stride(from: 0, to: whole.count, by: 700) {
            let piece = try archive.pass(ByteBuffer(bytes: whole[start..<min(start + 700, whole.count)]))
            bytes += Array(piece.readableBytesView)
        }
        try archive.finish()
        return bytes
    }

    private static func intake(
        _ bytes: [UInt8], _ shelf: MemoryShelf, wanted: Set<LayerDigest> = Set(diffIDs), limit: Int64 = 1 << 20
    ) throws -> LayerIntake {
        let compressor = try ZstdCompressor()
        let intake = try LayerIntake(wanted: wanted, shelf: shelf, limit: limit)
        for start in stride(from: 0, to: bytes.count, by: 900) {
            intake.add(try compressor.compress(ByteBuffer(bytes: bytes[start..<min(start + 900, bytes.count)])))
            while try intake.step() {}
        }
        intake.add(try compressor.finish())
        while try intake.step() {}
        return intake
    }

    @Test("are kept, and nothing else of their image travels", arguments: Layout.allCases)
    func whole(layout: Layout) throws {
        let bytes = try Self.parcel(layout, [0, 3])
        let names = try SparseArchiveTests.names(bytes)
        let expected = [0, 3].map { SparseArchiveTests.path($0, layout) }.sorted()
        #expect(names.filter { !$0.hasPrefix(".lighter/") }.sorted() == expected)
        let shelf = MemoryShelf()
        let intake = try Self.intake(bytes, shelf)
        try intake.finish()
        #expect(intake.arrived == [Self.diffIDs[0], Self.diffIDs[3]])
        for position in [0, 3] { #expect(shelf.layers[Self.diffIDs[position]] == DockerArchive.layer(position)) }
    }

    @Test("go on where they were cut, wherever that was", arguments: Layout.allCases)
    func cut(layout: Layout) throws {
        let bytes = try Self.parcel(layout, [0, 3])
        // Of the end's mark one block will do.
        for length in stride(from: 0, to: bytes.count - 512, by: 511) {
            let shelf = MemoryShelf()
            #expect(throws: ImageError.self) { try Self.intake(Array(bytes[..<length]), shelf).finish() }
            let kept = shelf.layers.mapValues { Int64($0.count) }
            let rest = try Self.parcel(layout, [0, 3], kept: kept)
            #expect(rest.count <= bytes.count)
            let intake = try Self.intake(rest, shelf)
            try intake.finish()
            #expect(intake.arrived == [Self.diffIDs[0], Self.diffIDs[3]], "cut at \(length)")
        }
    }

    @Test("are forgotten where they are not what their digests say, whoever the wrong bytes are from")
    func damaged() throws {
        var bytes = try Self.parcel(.new, [0, 3])
        let content = try #require(DockerArchive.layer(3).firstIndex { $0 != 0 })
        let start = try #require(
            (0..<bytes.count).last { bytes[$0...].starts(with: DockerArchive.layer(3).prefix(512)) })
        bytes[start + content] ^= 1
        let shelf = MemoryShelf()
        #expect(throws: ImageError.self) { try Self.intake(bytes, shelf) }
        #expect(shelf.layers[Self.diffIDs[3]] == nil)
        #expect(shelf.layers[Self.diffIDs[0]] == DockerArchive.layer(0))
        // A beginning that is wrong already, as it may be by a disk's or a sender's fault.
        shelf.layers[Self.diffIDs[0]] = Array(DockerArchive.layer(0).prefix(600).map { $0 ^ 1 })
        let rest = try Self.parcel(.new, [0], kept: [Self.diffIDs[0]: 600])
        #expect(throws: ImageError.self) { try Self.intake(rest, shelf) }
        #expect(shelf.layers[Self.diffIDs[0]] == nil)
    }

    @Test("are refused where they were not asked for, are more than they may be, or find no room")
    func refused() throws {
        let bytes = try Self.parcel(.new, [0, 3])
        #expect(throws: ImageError.self) { try Self.intake(bytes, MemoryShelf(), wanted: [Self.diffIDs[0]]) }
        #expect(throws: ImageError.self) { try Self.intake(bytes, MemoryShelf(), limit: 3000) }
        let full = MemoryShelf()
        full.room = 100
        #expect(throws: ImageError.self) { try Self.intake(bytes, full) }
        // Not a parcel: a file that no mark announces.
        #expect(throws: ImageError.self) { try Self.intake(Layout.new.archive(), MemoryShelf()) }
    }

    @Test("are hostile at times: no bytes whatever make more than an error of it")
    func hostile() throws {
        let bytes = try Self.parcel(.new, [0, 3])
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var broken = bytes
            for _ in 0..<8 { broken[Int.random(in: 0..<broken.count, using: &generator)] = .random(in: 0...255) }
            let shelf = MemoryShelf()
            let arrived = (try? Self.intake(broken, shelf))?.arrived ?? []
            for layer in arrived { #expect(shelf.layers[layer].map { LayerDigest(of: $0) } == layer) }
        }
    }
}
