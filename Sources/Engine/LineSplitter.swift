import NIOCore

/// Cuts a stream of bytes into lines; empty lines are left out.
struct LineSplitter {
    private let limit: Int
    private var buffer = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    mutating func append(_ piece: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(piece)
    }

    /// The next whole line without its end, or nil.
    ///
    /// - Throws: `EngineError.malformed` for a line past the limit.
    mutating func next() throws(EngineError) -> ByteBuffer? {
        while let feed = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = feed - buffer.readerIndex
            guard let line = buffer.readSlice(length: length) else { return nil }
            buffer.moveReaderIndex(forwardBy: 1)
            let isBlank = line.readableBytesView.allSatisfy { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: " ") }
            if !isBlank { return line }
        }
        guard buffer.readableBytes <= limit else {
            throw EngineError(.malformed, "the engine sent a line longer than \(limit) bytes")
        }
        return nil
    }
}
