import Compression
import NIOCore
import Testing

@testable import Images

/// Layers that are kept in memory.
final class MemoryShelf: LayerShelf {
    var layers: [LayerDigest: [UInt8]] = [:]
    /// The longest layer that is kept.
    var room = Int.max
    private var current: LayerDigest?
    private var end = 0

    func begin(_ layer: LayerDigest, size: Int64, kept: Int64) -> Bool {
        current = nil
        guard Int64(layers[layer]?.count ?? 0) >= kept else { return false }
        current = layer
        end = Int(kept)
        return true
    }

    func read(at offset: Int64, atMost count: Int) -> ByteBuffer? {
        current.flatMap { layers[$0] }.map { ByteBuffer(bytes: $0.dropFirst(Int(offset)).prefix(count)) }
    }

    func append(_ bytes: ByteBuffer) -> Bool {
        guard let current, end + bytes.readableBytes <= room else { return false }
        let kept = layers[current, default: []]
        layers[current] = kept.prefix(end) + Array(bytes.readableBytesView) + kept.dropFirst(end + bytes.readableBytes)
        end += bytes.readableBytes
        return true
    }

    func reject() { current.map { layers[$0] = nil } }
}

@Suite("An archive that is sent again after a cut")
struct LayerRestorerTests {
    typealias Layout = SparseArchiveTests.Layout

    /// What a sender sends: marked, for a receiver that has so many bytes of each layer.
    private static func sent(_ layout: Layout, kept: [LayerDigest: Int64]) throws -> (bytes: [UInt8], spared: Int64) {
        var archive = SparseArchive(
            diffIDs: SparseArchiveTests.diffIDs, missing: Set(SparseArchiveTests.chainIDs.dropFirst()), kept: kept)
        var bytes: [UInt8] = []
        // Pieces that end anywhere.
        for start in stride(from: 0, to: layout.archive().count, by: 700) {
            let piece = layout.archive()[start..<min(start + 700, layout.archive().count)]
            bytes += Array(try archive.pass(ByteBuffer(bytes: piece)).readableBytesView)
        }
        try archive.finish()
        return (bytes, archive.spared)
    }

    /// What the receiver's engine gets of it.
    private static func received(_ bytes: [UInt8], _ shelf: MemoryShelf) throws -> [UInt8] {
        let compressor = try ZstdCompressor()
        let restorer = try LayerRestorer(shelf: shelf)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 900) {
            restorer.add(try compressor.compress(ByteBuffer(bytes: bytes[start..<min(start + 900, bytes.count)])))
            while let piece = try restorer.next() { out += Array(piece.readableBytesView) }
        }
        restorer.add(try compressor.finish())
        while let piece = try restorer.next() { out += Array(piece.readableBytesView) }
        return out
    }

    private static func plain(_ layout: Layout) throws -> [UInt8] {
        try SparseArchiveTests.pass([layout.archive()], missing: [1, 2, 3])
    }

    @Test("comes out as it would without a cut, wherever that was", arguments: Layout.allCases)
    func cut(layout: Layout) throws {
        let whole = try Self.sent(layout, kept: [:]).bytes
        for length in stride(from: 0, through: whole.count, by: 511) {
            let shelf = MemoryShelf()
            _ = try Self.received(Array(whole[..<length]), shelf)
            let kept = shelf.layers.mapValues { Int64($0.count) }
            let again = try Self.sent(layout, kept: kept)
            #expect(try Self.received(again.bytes, shelf) == Self.plain(layout), "cut at \(length)")
            // Nothing that was there travels again; an equal layer is in this image twice.
            let there = kept.filter { $0.value > 0 }
            #expect(again.spared >= there.values.reduce(0, +))
            #expect(again.bytes.count == whole.count - Int(again.spared) || !there.isEmpty)
        }
    }

    @Test("does not come out where the receiver has less than the sender thinks", arguments: Layout.allCases)
    func gone(layout: Layout) throws {
        let shelf = MemoryShelf()
        let bytes = try Self.sent(layout, kept: [SparseArchiveTests.diffIDs[3]: 5]).bytes
        let error = #expect(throws: ImageError.self) { try Self.received(bytes, shelf) }
        #expect(error?.code == .damagedFile)
    }

    @Test("has all of a layer of which the receiver is said to have more than there is")
    func more() throws {
        let sent = try Self.sent(.new, kept: [SparseArchiveTests.diffIDs[3]: 1 << 40])
        #expect(sent.spared == 0)
        #expect(try Self.received(sent.bytes, MemoryShelf()) == Self.plain(.new))
    }

    @Test(
        "is refused with a mark that is none",
        arguments: ["x", ".lighter", ".lighter/x/0", ".lighter/\(String(repeating: "a", count: 64))/-1"])
    func marks(name: String) throws {
        let archive = Array(TarEntry.file(name, []).readableBytesView) + [UInt8](repeating: 0, count: 1024)
        if name == "x" {
            #expect(try Self.received(archive, MemoryShelf()) == archive)
        } else {
            #expect(throws: ImageError.self) { try Self.received(archive, MemoryShelf()) }
        }
    }

    @Test("is refused with a mark of more than the file behind it has")
    func long() throws {
        let layer = SparseArchiveTests.diffIDs[0]
        let shelf = MemoryShelf()
        shelf.layers[layer] = Array(repeating: 1, count: 10)
        var archive = LayerMark.entry(layer, kept: 10)
        archive.writeImmutableBuffer(TarEntry.file("file", [1, 2, 3]))
        #expect(throws: ImageError.self) { try Self.received(Array(archive.readableBytesView), shelf) }
    }
}
