import Compression
import NIOCore
import Testing

@testable import Images

@Suite("A context in chunks")
struct ContextDecoderTests {
    private final class Shelf: ChunkStore {
        var chunks: [LayerDigest: ByteBuffer] = [:]
        func load(_ digest: LayerDigest) -> ByteBuffer? { chunks[digest] }
        func save(_ digest: LayerDigest, _ bytes: ByteBuffer) { chunks[digest] = bytes }
    }

    private func decode(_ frames: [ByteBuffer], _ shelf: Shelf, pieces: Int = 1000) throws -> (String, Bool) {
        let compressor = try ZstdCompressor()
        var body = ByteBuffer()
        for frame in frames { body.writeImmutableBuffer(try compressor.compress(frame)) }
        body.writeImmutableBuffer(try compressor.finish())
        let decoder = try ContextDecoder(store: shelf)
        var out = ByteBuffer()
        while body.readableBytes > 0 {
            decoder.add(body.readSlice(length: min(pieces, body.readableBytes)) ?? ByteBuffer())
            while let piece = try decoder.next() { out.writeImmutableBuffer(piece) }
        }
        return (String(buffer: out), decoder.isComplete)
    }

    @Test("is put together of what comes and of what came before", arguments: [1, 7, 1000])
    func together(pieces: Int) throws {
        let shelf = Shelf()
        let (one, two) = (ByteBuffer(string: String(repeating: "one", count: 9000)), ByteBuffer(string: "two"))
        let first = try decode(
            [ContextFrame.fresh(one), ContextFrame.fresh(two), ContextFrame.passing(ByteBuffer(string: "end"))], shelf,
            pieces: pieces)
        #expect(first == (String(buffer: one) + "twoend", true))
        #expect(shelf.chunks.count == 2, "what only passes is not kept")
        let second = try decode(
            [ContextFrame.known(ContextFrame.digest(of: two)), ContextFrame.known(ContextFrame.digest(of: one))], shelf,
            pieces: pieces)
        #expect(second == ("two" + String(buffer: one), true))
    }

    @Test("is refused where a chunk is not there, or a frame is none")
    func refused() throws {
        let digest = ContextFrame.digest(of: ByteBuffer(string: "x"))
        let long = ByteBuffer(repeating: 0, count: (1 << 20) + 1)
        let bad = [
            ContextFrame.known(digest), ContextFrame.fresh(long), ContextFrame.fresh(ByteBuffer()),
            ByteBuffer(bytes: [9]), ByteBuffer(bytes: [1] + [UInt8](repeating: 0x7a, count: 64)),
        ]
        for frame in bad { #expect(throws: ImageError.self) { try decode([frame], Shelf()) } }
        let cut = try decode([ByteBuffer(bytes: [2, 0, 0, 0, 9, 1])], Shelf())
        #expect(cut == ("", false))
    }
}
