internal import Compression
import Crypto
package import NIOCore

/// What makes of a compressed body what an engine shall have, as it comes and in pieces.
package protocol StreamDecoder: AnyObject {
    /// Takes more of the stream, once `next` has returned nil.
    func add(_ piece: ByteBuffer)
    /// The next piece of what comes out; nil when more has to go in.
    func next() throws(ImageError) -> ByteBuffer?
    /// Whether the stream may end here.
    var isComplete: Bool { get }
}

/// Makes plain bytes of a zstd stream.
package final class PlainDecoder: StreamDecoder {
    private let frames: ZstdDecompressor

    package init() throws(ImageError) {
        do throws(CompressionError) { frames = try ZstdDecompressor() } catch { throw ImageError(error) }
    }

    package var isComplete: Bool { frames.isComplete }

    package func add(_ piece: ByteBuffer) { frames.add(piece) }

    package func next() throws(ImageError) -> ByteBuffer? {
        do throws(CompressionError) { return try frames.next() } catch { throw ImageError(error) }
    }
}

/// Where a receiver of contexts keeps their chunks.
package protocol ChunkStore: AnyObject {
    /// Nil where it does not have it (any more).
    func load(_ digest: LayerDigest) -> ByteBuffer?
    /// May forget it at once.
    func save(_ digest: LayerDigest, _ bytes: ByteBuffer)
}

/// The pieces in which a build's context travels: chunks that are new, and the names of those that came before.
package enum ContextFrame {
    /// The mean and the longest chunk.
    package static let mean = 64 << 10
    static let longest = 1 << 20

    fileprivate static let known: UInt8 = 1
    fileprivate static let fresh: UInt8 = 2
    /// Bytes that are not worth keeping.
    fileprivate static let passing: UInt8 = 3

    package static func digest(of bytes: ByteBuffer) -> LayerDigest {
        var hash = SHA256()
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return LayerDigest(hash.finalize())
    }

    /// A chunk that the receiver has.
    package static func known(_ digest: LayerDigest) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(known)
        frame.writeString(digest.hex)
        return frame
    }

    package static func fresh(_ bytes: ByteBuffer) -> ByteBuffer { frame(fresh, bytes) }
    package static func passing(_ bytes: ByteBuffer) -> ByteBuffer { frame(passing, bytes) }

    private static func frame(_ kind: UInt8, _ bytes: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(kind)
        frame.writeInteger(UInt32(bytes.readableBytes))
        frame.writeImmutableBuffer(bytes)
        return frame
    }
}

/// Puts a context together again, from a peer's frames and the chunks that are kept here.
package final class ContextDecoder: StreamDecoder {
    private let frames: PlainDecoder
    private let store: any ChunkStore
    private var input = ByteBuffer()

    package init(store: any ChunkStore) throws(ImageError) {
        frames = try PlainDecoder()
        self.store = store
    }

    package var isComplete: Bool { frames.isComplete && input.readableBytes == 0 }

    package func add(_ piece: ByteBuffer) { frames.add(piece) }

    package func next() throws(ImageError) -> ByteBuffer? {
        while true {
            if let bytes = try frame() { return bytes }
            guard let piece = try frames.next() else { return nil }
            input.discardReadBytes()
            input.writeImmutableBuffer(piece)
        }
    }

    private func frame() throws(ImageError) -> ByteBuffer? {
        guard let kind = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return nil }
        switch kind {
        case ContextFrame.known:
            guard input.readableBytes >= 65 else { return nil }
            input.moveReaderIndex(forwardBy: 1)
            guard let digest = input.readString(length: 64).flatMap({ LayerDigest(hex: $0) }) else {
                throw .malformed("a chunk's name is no digest")
            }
            guard let bytes = store.load(digest) else {
                throw ImageError(.damagedFile, "a chunk of the context is not here any more: \(digest)")
            }
            return bytes
        case ContextFrame.fresh, ContextFrame.passing:
            guard let length = input.getInteger(at: input.readerIndex + 1, as: UInt32.self) else { return nil }
            guard (1...ContextFrame.longest).contains(Int(length)) else {
                throw .malformed("a chunk of \(length) bytes")
            }
            guard input.readableBytes >= 5 + Int(length) else { return nil }
            input.moveReaderIndex(forwardBy: 5)
            guard let bytes = input.readSlice(length: Int(length)) else { return nil }
            if kind == ContextFrame.fresh { store.save(ContextFrame.digest(of: bytes), bytes) }
            return bytes
        default: throw .malformed("a frame of a kind that is not known")
        }
    }
}
