internal import NIOCore

/// Passes what an engine sends over a WebSocket on in whole frames, and its last word, which ends the client's connection, only when
/// nothing follows.
struct WholeMessages: OutputCutter {
    /// Engines send smaller frames; a longer one passes as it comes, and nothing can follow where it breaks off.
    private static let limit = 1 << 20
    private static let close: UInt8 = 8

    private var held = ByteBuffer()
    private var isPlain = false
    private var isClosing = false

    mutating func pass(_ bytes: ByteBuffer) -> ByteBuffer {
        guard !isPlain else { return bytes }
        held.writeImmutableBuffer(bytes)
        var out = ByteBuffer()
        while !isClosing, let (opcode, size) = frame(), size <= Self.limit {
            isClosing = opcode == Self.close
            guard !isClosing, let whole = held.readSlice(length: size) else { break }
            out.writeImmutableBuffer(whole)
        }
        if !isClosing, held.readableBytes > Self.limit {
            isPlain = true
            out.writeImmutableBuffer(finish())
        }
        held.discardReadBytes()
        return out
    }

    mutating func finish() -> ByteBuffer {
        defer { held = ByteBuffer() }
        return held
    }

    /// The kind of the next frame, and its length with its head; nil where that has not come.
    private func frame() -> (opcode: UInt8, size: Int)? {
        let start = held.readerIndex
        guard let head: UInt16 = held.getInteger(at: start) else { return nil }
        var size = 2 + (head & 0x80 != 0 ? 4 : 0)
        switch head & 0x7f {
        case 126:
            guard let length: UInt16 = held.getInteger(at: start + 2) else { return nil }
            size += 2 + Int(length)
        case 127:
            guard let length: UInt64 = held.getInteger(at: start + 2) else { return nil }
            size += 8 + Int(clamping: min(length, UInt64(Int32.max)))
        case let length: size += Int(length)
        }
        return (UInt8(head >> 8) & 0x0f, size)
    }
}
