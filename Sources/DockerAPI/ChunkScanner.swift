import NIOCore

/// The state machine of chunked framing, byte by byte over framing and by leaps over data.
///
/// Stricter than RFC 9112 asks: no white space near the size, no line ends but CRLF, bounded extensions and trailers.
struct ChunkScanner: Sendable {
    /// Bytes of extensions in one size line.
    static let extensionLimit = 1024
    /// Bytes of all trailer lines together.
    static let trailerLimit = 8 * 1024

    private enum State {
        case size(value: UInt64, digits: Int)
        case parameters(size: Int, length: Int)
        case sizeFeed(Int)
        case data(Int)
        case dataReturn, dataFeed
        case trailerStart, trailerName, trailerValue, trailerFeed, lastFeed
        case done
    }

    private var state = State.size(value: 0, digits: 0)
    private var trailerLength = 0

    var isComplete: Bool {
        if case .done = state { true } else { false }
    }

    /// Walks from the front of `view` to its end, the body's end, or (if asked) the end of the first stretch of data.
    ///
    /// - Returns: How many bytes belong to the body, and which of them (as offsets) are the first stretch of data.
    mutating func scan(
        _ view: ByteBufferView, stopAfterData: Bool
    ) throws(HTTPError) -> (length: Int, data: Range<Int>?) {
        var offset = 0
        var data: Range<Int>?
        let base = view.startIndex
        while offset < view.count {
            if case .done = state { break }
            if case .data(let rest) = state {
                if stopAfterData, data != nil { break }
                let length = min(rest, view.count - offset)
                data = data ?? offset..<(offset + length)
                offset += length
                state = length == rest ? .dataReturn : .data(rest - length)
                continue
            }
            try step(view[base + offset])
            offset += 1
        }
        return (offset, data)
    }

    private mutating func step(_ byte: UInt8) throws(HTTPError) {
        switch state {
        case .size(let value, let digits): try stepSize(byte, value, digits)
        case .parameters(let size, let length): try stepParameters(byte, size, length)
        case .sizeFeed(let size):
            try expect(byte, ASCII.lf)
            state = size == 0 ? .trailerStart : .data(size)
        case .dataReturn:
            try expect(byte, ASCII.cr)
            state = .dataFeed
        case .dataFeed:
            try expect(byte, ASCII.lf)
            state = .size(value: 0, digits: 0)
        case .trailerStart, .trailerName, .trailerValue: try stepTrailer(byte)
        case .trailerFeed:
            try expect(byte, ASCII.lf)
            state = .trailerStart
        case .lastFeed:
            try expect(byte, ASCII.lf)
            state = .done
        case .data, .done: break
        }
    }

    private mutating func stepSize(_ byte: UInt8, _ value: UInt64, _ digits: Int) throws(HTTPError) {
        if let digit = ASCII.hexDigit(byte) {
            guard digits < 16 else { throw .bad("a chunk size of more than 16 digits") }
            state = .size(value: value << 4 | UInt64(digit), digits: digits + 1)
            return
        }
        guard digits > 0, let size = Int(exactly: value) else { throw .bad("a chunk size that is not a number") }
        switch byte {
        case ASCII.cr: state = .sizeFeed(size)
        case UInt8(ascii: ";"): state = .parameters(size: size, length: 0)
        default: throw .bad("a chunk size that is not a number")
        }
    }

    private mutating func stepParameters(_ byte: UInt8, _ size: Int, _ length: Int) throws(HTTPError) {
        if byte == ASCII.cr {
            state = .sizeFeed(size)
            return
        }
        guard ASCII.isFieldValue(byte) else { throw .bad("a control character in a chunk extension") }
        guard length < Self.extensionLimit else { throw .bad("a chunk extension that is too long") }
        state = .parameters(size: size, length: length + 1)
    }

    private mutating func stepTrailer(_ byte: UInt8) throws(HTTPError) {
        trailerLength += 1
        guard trailerLength <= Self.trailerLimit else { throw .bad("trailers longer than \(Self.trailerLimit) bytes") }
        switch state {
        case .trailerStart where byte == ASCII.cr: state = .lastFeed
        case .trailerStart where ASCII.isToken(byte): state = .trailerName
        case .trailerName where byte == ASCII.colon: state = .trailerValue
        case .trailerName where ASCII.isToken(byte): break
        case .trailerValue where byte == ASCII.cr: state = .trailerFeed
        case .trailerValue where ASCII.isFieldValue(byte): break
        default: throw .bad("a trailer that is not a header line")
        }
    }

    private func expect(_ byte: UInt8, _ wanted: UInt8) throws(HTTPError) {
        guard byte == wanted else { throw .bad("a chunk that does not end in CRLF") }
    }
}
