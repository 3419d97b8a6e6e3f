package import NIOCore

/// The 8-byte header before each piece of a container's output when it has no TTY.
package struct RawStreamFrame: Sendable, Hashable {
    package enum Kind: UInt8, Sendable, Hashable {
        case stdin = 0
        case stdout = 1
        case stderr = 2
        /// An error of the engine's own, for the person who watches.
        case system = 3
    }

    package static let length = 8

    package var kind: Kind
    /// Bytes that follow the header.
    package var size: Int

    package init(kind: Kind, size: Int) {
        self.kind = kind
        self.size = size
    }

    /// Takes a header from the front of `buffer`; nil when fewer than 8 bytes are there.
    ///
    /// - Throws: `HTTPError` 502 when the bytes are no header.
    package static func read(_ buffer: inout ByteBuffer) throws(HTTPError) -> RawStreamFrame? {
        guard buffer.readableBytes >= length else { return nil }
        guard let word = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self),
            let size = buffer.getInteger(at: buffer.readerIndex + 4, as: UInt32.self),
            word & 0x00ff_ffff == 0, let kind = Kind(rawValue: UInt8(word >> 24))
        else { throw HTTPError(status: 502, message: "the engine's stream has a malformed frame header") }
        buffer.moveReaderIndex(forwardBy: length)
        return RawStreamFrame(kind: kind, size: Int(size))
    }

    /// A header and its payload.
    package static func frame(_ kind: Kind, _ payload: ByteBuffer) -> ByteBuffer {
        var out = ByteBuffer()
        out.reserveCapacity(length + payload.readableBytes)
        out.writeInteger(UInt32(kind.rawValue) << 24)
        out.writeInteger(UInt32(clamping: payload.readableBytes))
        out.writeImmutableBuffer(payload)
        return out
    }
}
