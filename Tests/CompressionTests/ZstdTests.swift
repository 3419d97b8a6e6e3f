import LighterTesting
import NIOCore
import Testing

@testable import Compression

@Suite("Compression")
struct ZstdTests {
    /// Half of it zeros, half of it noise.
    private static func data(_ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: 7)
        return (0..<count).map { $0 % 8192 < 4096 ? 0 : UInt8.random(in: 0...255, using: &random) }
    }

    private static func compress(_ data: [UInt8], pieces: Int) throws -> [UInt8] {
        let compressor = try ZstdCompressor()
        var out = ByteBuffer()
        var rest = data[...]
        while !rest.isEmpty {
            out.writeImmutableBuffer(try compressor.compress(ByteBuffer(bytes: rest.prefix(pieces))))
            rest = rest.dropFirst(pieces)
        }
        out.writeImmutableBuffer(try compressor.finish())
        return Array(out.readableBytesView)
    }

    /// What comes out, and whether the stream was whole.
    private static func decompress(_ data: [UInt8], pieces: Int) throws(CompressionError) -> (
        data: [UInt8], isComplete: Bool
    ) {
        let decompressor = try ZstdDecompressor()
        var out: [UInt8] = []
        var rest = data[...]
        while !rest.isEmpty {
            decompressor.add(ByteBuffer(bytes: rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
            while let piece = try decompressor.next() {
                #expect(piece.readableBytes <= 256 << 10)
                out += Array(piece.readableBytesView)
            }
        }
        return (out, decompressor.isComplete)
    }

    @Test("gives back what went in, however it was cut", arguments: [0, 1, 4096, 131_072, 262_144, 1_000_000])
    func roundTrip(count: Int) throws {
        let data = Self.data(count)
        for pieces in [1000, 65_536, 1 << 20] {
            let packed = try Self.compress(data, pieces: pieces)
            if count > 8192 { #expect(packed.count < count * 6 / 10) }
            for cut in [1, 1000, 1 << 20] where cut > 1 || count < 200_000 {
                let found = try Self.decompress(packed, pieces: cut)
                #expect(found.data == data && found.isComplete)
            }
        }
    }

    @Test("that was cut short is not complete; that was damaged is an error, or other data, never a trap")
    func damaged() throws {
        let packed = try Self.compress(Self.data(300_000), pieces: 65_536)
        #expect(try !Self.decompress(Array(packed.dropLast()), pieces: 1 << 20).isComplete)
        var random = SeededGenerator(seed: 1)
        for _ in 0..<200 {
            var damaged = packed
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? Self.decompress(damaged, pieces: Int.random(in: 1...5000, using: &random))
        }
        #expect(throws: CompressionError.self) { try Self.decompress(Array("no zstd".utf8), pieces: 3) }
    }

    @Test("flushed can be read so far at the other end, at any level and in a small window")
    func flush() throws {
        let data = Self.data(200_000)
        for level in [1, 3] as [Int32] {
            let compressor = try ZstdCompressor(level: level, windowLog: 17)
            let decompressor = try ZstdDecompressor()
            for start in stride(from: 0, to: data.count, by: 30_000) {
                let piece = Array(data[start..<min(start + 30_000, data.count)])
                decompressor.add(try compressor.flush(ByteBuffer(bytes: piece)))
                var out: [UInt8] = []
                while let more = try decompressor.next() { out += Array(more.readableBytesView) }
                #expect(out == piece)
            }
        }
    }

    @Test("hands out a bomb in small pieces, so that its reader may stop")
    func bomb() throws {
        let packed = try Self.compress([UInt8](repeating: 0, count: 64 << 20), pieces: 1 << 20)
        #expect(packed.count < 16 << 10)
        let decompressor = try ZstdDecompressor()
        decompressor.add(ByteBuffer(bytes: packed))
        let first = try #require(try decompressor.next())
        #expect(first.readableBytes <= 256 << 10)
    }

    @Test("refuses streams that would need more memory than a node gives to one")
    func window() {
        // A frame's header that asks for a window of 2 GiB: magic, no content size, window descriptor 0xa8.
        #expect(throws: CompressionError.self) {
            try Self.decompress([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00], pieces: 9)
        }
    }
}
