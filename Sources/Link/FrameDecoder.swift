import NIOCore

/// Cuts a byte stream into frames; any split of the bytes gives the same frames.
///
/// Payloads are passed on piece by piece as they arrive, never gathered: what a frame claims to hold costs nothing
/// until it is there. After an error the decoder is finished.
struct FrameDecoder {
    enum Event: Equatable {
        case header(FrameHeader)
        /// Bytes of the data frame whose header came last; `last` at its end.
        case payload(ByteBuffer, last: Bool)
    }

    enum Malformed: Error, Equatable {
        case version(UInt8)
        case kind(UInt8)
    }

    private var input = ByteBuffer()
    /// Payload bytes still to come of the data frame under way.
    private var remaining = 0

    /// Takes `bytes`; call `next()` until it answers nil.
    mutating func feed(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            // Copies into storage of its own when the slice's is shared; at most 11 bytes were left.
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole header or piece of payload; nil when more bytes are needed.
    mutating func next() throws(Malformed) -> Event? {
        if remaining > 0 {
            guard let piece = input.readSlice(length: min(remaining, input.readableBytes)), piece.readableBytes > 0
            else {
                return nil
            }
            remaining -= piece.readableBytes
            return .payload(piece, last: remaining == 0)
        }
        guard input.readableBytes >= Yamux.headerSize,
            let (version, kind, flags, stream, length) = input.readMultipleIntegers(
                as: (UInt8, UInt8, UInt16, UInt32, UInt32).self)
        else {
            if input.readableBytes == 0 { input = ByteBuffer() }  // lets go of the received storage
            return nil
        }
        guard version == Yamux.version else { throw .version(version) }
        guard let kind = FrameKind(rawValue: kind) else { throw .kind(kind) }
        if kind == .data { remaining = Int(length) }
        return .header(FrameHeader(kind: kind, flags: FrameFlags(rawValue: flags), stream: stream, length: length))
    }
}

extension ByteBuffer {
    /// Appends `header` in its 12 bytes.
    mutating func writeFrameHeader(_ header: FrameHeader) {
        writeMultipleIntegers(
            Yamux.version, header.kind.rawValue, header.flags.rawValue, header.stream, header.length)
    }
}
