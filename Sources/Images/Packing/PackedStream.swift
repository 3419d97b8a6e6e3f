internal import Compression
package import NIOCore

/// A stream that is compressed with what was said on the one before it, as far as both of its ends remember that.
///
/// It consists of frames: two bytes, big endian, then what zstd makes of a piece. The upper bit tells that both ends remember the
/// piece, the others how long the frame is. A length of zero is the last word of the end that closes: four bytes follow, which
/// count what it remembers of the other's.
package enum PackedStream {
    /// By which an end offers it, with the digest of what it remembers, and the other one agrees.
    package static let header = "X-Lighter-Packed"
    /// In place of a digest, from who remembers nothing.
    package static let nothing = "nothing"
    /// The answers: with what is remembered, and without.
    package static let known = "known"
    package static let plain = "plain"

    /// What is remembered of either direction, in bytes.
    package static let memoryLimit = 2 << 20

    static let keeps: UInt16 = 0x8000
    static let frameLimit = 0x7fff

    /// What a stream leaves behind is of use to the next where it is no mere fragment of what was there before.
    package static func isWorthMore(_ memory: ByteBuffer, than former: ByteBuffer?) -> Bool {
        memory.readableBytes > 0 && memory.readableBytes >= (former?.readableBytes ?? 0) / 2
    }

    package static func offer(_ memory: ByteBuffer?) -> String {
        memory.map { ContextFrame.digest(of: $0).description } ?? nothing
    }

    /// As a power of two, in bytes; a decompressor allows no more than 23.
    static func windowLog(_ memory: ByteBuffer?) -> Int32 {
        var log: Int32 = 19
        while log < 23, (memory?.readableBytes ?? 0) > 1 << (log - 1) { log += 1 }
        return log
    }
}

/// Makes one direction of a packed stream.
package final class PackedWriter {
    private let zstd: ZstdCompressor
    private var body = ByteBuffer()
    private var frames = ByteBuffer()
    private var isKeeping = true
    /// What was remembered, which is bounded.
    package private(set) var kept = ByteBuffer()
    /// Bytes that have not been given out.
    package private(set) var waiting = 0

    package init(memory: ByteBuffer?) throws(ImageError) {
        do throws(CompressionError) {
            zstd = try ZstdCompressor(
                level: 3, windowLog: PackedStream.windowLog(memory), prefix: memory.map { ZstdPrefix($0) })
        } catch {
            throw ImageError(error)
        }
    }

    package func add(_ piece: ByteBuffer, keeps: Bool) throws(ImageError) {
        guard piece.readableBytes > 0 else { return }
        if keeps != isKeeping { try seal() }
        isKeeping = keeps
        if keeps { kept.remember(piece) }
        do throws(CompressionError) { body.writeImmutableBuffer(try zstd.compress(piece)) } catch {
            throw ImageError(error)
        }
        waiting += piece.readableBytes
    }

    /// All that was added, so that the other end can read it.
    package func flush() throws(ImageError) -> ByteBuffer {
        try seal()
        defer { frames = ByteBuffer() }
        waiting = 0
        return frames
    }

    /// The last word.
    /// - Parameter heard: what is remembered of the other direction, in bytes.
    package func end(heard: Int) throws(ImageError) -> ByteBuffer {
        var all = try flush()
        all.writeInteger(UInt16(0))
        all.writeInteger(UInt32(clamping: heard))
        return all
    }

    private func seal() throws(ImageError) {
        guard waiting > 0 else { return }
        do throws(CompressionError) { body.writeImmutableBuffer(try zstd.flush(ByteBuffer())) } catch {
            throw ImageError(error)
        }
        while body.readableBytes > 0,
            let piece = body.readSlice(length: min(PackedStream.frameLimit, body.readableBytes))
        {
            frames.writeInteger(UInt16(piece.readableBytes) | (isKeeping ? PackedStream.keeps : 0))
            frames.writeImmutableBuffer(piece)
        }
        body = ByteBuffer()
    }
}

/// Reads one direction of a packed stream, which may be hostile: in bounded memory, and no faster than it is asked to.
package final class PackedReader {
    private let zstd: ZstdDecompressor
    private var input = ByteBuffer()
    /// Of the frame that is being read.
    private var left = 0
    /// Whether the last piece is remembered.
    private(set) var isKeeping = false
    /// Whether what zstd has may give more.
    private var isOpen = false
    /// What was remembered, which is bounded.
    package private(set) var kept = ByteBuffer()
    /// The other end's last word, after which it says nothing: how much it remembers of what this one said.
    package private(set) var end: Int?

    package init(memory: ByteBuffer?) throws(ImageError) {
        do throws(CompressionError) {
            zstd = try ZstdDecompressor(prefix: memory.map { ZstdPrefix($0) })
        } catch {
            throw ImageError(error)
        }
    }

    /// What has come and was not unpacked, in bytes.
    var waiting: Int { input.readableBytes }

    package func add(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next piece; nil when more has to come.
    package func next() throws(ImageError) -> ByteBuffer? {
        while end == nil {
            if isOpen {
                let piece: ByteBuffer?
                do throws(CompressionError) { piece = try zstd.next() } catch { throw ImageError(error) }
                if let piece {
                    if isKeeping { kept.remember(piece) }
                    return piece
                }
                isOpen = false
            }
            if left == 0 {
                guard try begin() else { return nil }
                continue
            }
            guard input.readableBytes > 0, let more = input.readSlice(length: min(left, input.readableBytes)) else {
                return nil
            }
            left -= more.readableBytes
            zstd.add(more)
            isOpen = true
        }
        guard input.readableBytes == 0 else {
            throw ImageError(.malformedCompression, "a packed stream goes on after its last word")
        }
        return nil
    }

    private func begin() throws(ImageError) -> Bool {
        guard let head: UInt16 = input.getInteger(at: input.readerIndex) else { return false }
        if head == 0 {
            guard let (_, count) = input.readMultipleIntegers(as: (UInt16, UInt32).self) else { return false }
            end = Int(count)
            return true
        }
        left = Int(head & ~PackedStream.keeps)
        guard left > 0 else { throw ImageError(.malformedCompression, "a packed stream has a frame of no bytes") }
        isKeeping = head & PackedStream.keeps != 0
        input.moveReaderIndex(forwardBy: 2)
        return true
    }
}

extension ByteBuffer {
    /// Both ends stop at the same byte.
    mutating func remember(_ piece: ByteBuffer, upTo limit: Int = PackedStream.memoryLimit) {
        let count = min(piece.readableBytes, limit - readableBytes)
        if count > 0, let part = piece.getSlice(at: piece.readerIndex, length: count) { writeImmutableBuffer(part) }
    }
}
