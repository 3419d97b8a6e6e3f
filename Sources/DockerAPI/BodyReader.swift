package import NIOCore

/// How a request's body is framed.
package enum BodyFraming: Sendable, Hashable {
    /// No body.
    case none
    /// That many bytes, at least one.
    case length(Int)
    case chunked
}

/// A piece of a body.
package struct BodyPart: Sendable, Hashable {
    /// Verbatim: framing and data, for splicing. A slice, not a copy.
    package var raw: ByteBuffer
    /// The data in it without framing; nil when the piece is framing only, or the reader does not decode.
    package var payload: ByteBuffer?

    package init(raw: ByteBuffer, payload: ByteBuffer?) {
        self.raw = raw
        self.payload = payload
    }
}

/// Finds the end of a body in a stream of bytes and hands its bytes on as they came.
///
/// Only bytes that have been checked are handed on, and never one beyond the body's end: what follows stays in the
/// buffer. The concatenation of the pieces does not depend on how the bytes were cut.
package struct BodyReader: Sendable {
    private enum State {
        case done
        case length(Int)
        case chunked(ChunkScanner)
        case endless
    }

    private var state: State
    private let decoding: Bool

    /// - Parameter decoding: Whether pieces carry payloads; without it a piece spans as many chunks as have come.
    package init(_ framing: BodyFraming, decoding: Bool = true) {
        self.decoding = decoding
        state =
            switch framing {
            case .none, .length(...0): .done
            case .length(let length): .length(length)
            case .chunked: .chunked(ChunkScanner())
            }
    }

    /// A reader of a response's body; one that ends with the connection is never complete by itself.
    package init(_ framing: ResponseFraming, decoding: Bool = true) {
        self.decoding = decoding
        state =
            switch framing {
            case .none, .interim, .length(...0): .done
            case .length(let length): .length(length)
            case .chunked: .chunked(ChunkScanner())
            case .untilClose, .upgraded: .endless
            }
    }

    package var isComplete: Bool {
        if case .done = state { true } else { false }
    }

    /// The next piece, or nil when the body is complete or more bytes are needed.
    package mutating func next(_ buffer: inout ByteBuffer) throws(HTTPError) -> BodyPart? {
        guard buffer.readableBytes > 0 else { return nil }
        switch state {
        case .done: return nil
        case .endless:
            return buffer.readSlice(length: buffer.readableBytes).map { BodyPart(raw: $0, payload: $0) }
        case .length(let rest):
            guard let slice = buffer.readSlice(length: min(rest, buffer.readableBytes)) else { return nil }
            state = slice.readableBytes == rest ? .done : .length(rest - slice.readableBytes)
            return BodyPart(raw: slice, payload: slice)
        case .chunked(var scanner):
            let found = try scanner.scan(buffer.readableBytesView, stopAfterData: decoding)
            let payload = decoding ? found.data.flatMap { buffer.slice($0) } : nil
            guard let raw = buffer.readSlice(length: found.length) else { return nil }
            state = scanner.isComplete ? .done : .chunked(scanner)
            return BodyPart(raw: raw, payload: payload)
        }
    }
}

extension ByteBuffer {
    /// The bytes at offsets from the reader index.
    fileprivate func slice(_ range: Range<Int>) -> ByteBuffer? {
        getSlice(at: readerIndex + range.lowerBound, length: range.count)
    }
}
