import NIOCore

/// What a stream has received and its channel has not read yet.
struct StreamInput {
    /// Pieces below this size are copied together, so that a few bytes do not keep a whole receive buffer alive.
    private static let small = 4 << 10
    private static let gathered = 32 << 10

    private var pieces = CircularBuffer<ByteBuffer>(initialCapacity: 1)
    /// Whether the last piece is a copy of this struct's own.
    private var gathering = false
    private(set) var bytes = 0

    var isEmpty: Bool { bytes == 0 }

    mutating func append(_ piece: ByteBuffer) {
        bytes += piece.readableBytes
        guard piece.readableBytes < Self.small else {
            pieces.append(piece)
            gathering = false
            return
        }
        let last = pieces.index(before: pieces.endIndex)
        if gathering, !pieces.isEmpty, pieces[last].readableBytes < Self.gathered {
            pieces[last].writeImmutableBuffer(piece)
        } else {
            var copy = ByteBuffer()
            copy.writeImmutableBuffer(piece)
            pieces.append(copy)
            gathering = true
        }
    }

    mutating func popFirst() -> ByteBuffer? {
        guard let piece = pieces.popFirst() else { return nil }
        bytes -= piece.readableBytes
        return piece
    }

    mutating func removeAll() {
        pieces = CircularBuffer(initialCapacity: 1)
        bytes = 0
    }
}
