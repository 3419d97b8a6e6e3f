internal import DockerAPI
internal import NIOCore

/// Passes a container's output on in whole frames, so that another's may follow wherever it breaks off.
///
/// Bytes that are no frames pass as they are.
struct WholeFrames: OutputCutter {
    /// The most bytes that are held back; of a longer frame, what has come becomes one of its own.
    static let limit = 64 << 10

    private(set) var held = ByteBuffer()
    private var isPlain = false

    /// The frames that are whole now.
    mutating func pass(_ bytes: ByteBuffer) -> ByteBuffer {
        guard !isPlain else { return bytes }
        var bytes = bytes
        if held.readableBytes == 0 { held = bytes } else { held.writeBuffer(&bytes) }
        var out = takeWhole()
        if held.readableBytes > Self.limit { out.writeImmutableBuffer(takeBegun()) }
        // Otherwise what has been passed on would be kept, and copied with every piece that comes.
        if held.readableBytes == 0 { held = ByteBuffer() } else { held.discardReadBytes() }
        return out
    }

    mutating func finish() -> ByteBuffer {
        defer { held = ByteBuffer() }
        return held
    }

    private mutating func takeWhole() -> ByteBuffer {
        var rest = held
        var length = 0
        while let frame = read(&rest), rest.readableBytes >= frame.size {
            rest.moveReaderIndex(forwardBy: frame.size)
            length = rest.readerIndex - held.readerIndex
        }
        if isPlain { return finish() }
        return held.readSlice(length: length) ?? ByteBuffer()
    }

    private mutating func takeBegun() -> ByteBuffer {
        var begun = held
        held = ByteBuffer()
        guard let frame = read(&begun) else { return ByteBuffer() }
        held.writeInteger(UInt32(frame.kind.rawValue) << 24)
        held.writeInteger(UInt32(clamping: frame.size - begun.readableBytes))
        return RawStreamFrame.frame(frame.kind, begun)
    }

    private mutating func read(_ bytes: inout ByteBuffer) -> RawStreamFrame? {
        // What cannot become a header is not waited for.
        for (index, byte) in bytes.readableBytesView.prefix(4).enumerated() where byte > (index == 0 ? 3 : 0) {
            isPlain = true
            return nil
        }
        do throws(HTTPError) { return try RawStreamFrame.read(&bytes) } catch {
            isPlain = true
            return nil
        }
    }
}
