package import NIOCore

/// Where a receiver keeps layers until their image is whole, so that what came before a cut does not travel again.
package protocol LayerShelf: AnyObject {
    /// Begins to keep a layer behind the bytes of it that are there.
    /// - Returns: false where it does not have so many.
    func begin(_ layer: LayerDigest, size: Int64, kept: Int64) -> Bool
    /// At most so many bytes of the layer that was begun; nil where they cannot be read.
    func read(at offset: Int64, atMost count: Int) -> ByteBuffer?
    /// Keeps more of it.
    /// - Returns: false where it cannot; what is kept then is still a beginning of the layer, or nothing.
    @discardableResult
    func append(_ bytes: ByteBuffer) -> Bool
    /// Forgets the layer that was begun: it is not what it should be.
    func reject()
}

/// Puts an image's archive together again, of what a peer sends and what is kept here of an earlier try.
///
/// What comes out is the archive that the sender's engine wrote, without layers that the engine here has. A layer whose kept
/// beginning is not what it should be is found out by that engine, which checks each by its digest.
package final class LayerRestorer: StreamDecoder {
    static let pieceSize = 128 << 10

    private let source: PlainDecoder
    private let shelf: any LayerShelf
    private var scanner = TarScanner()
    private var input = ByteBuffer()
    private var mark: (layer: LayerDigest, kept: Int64)?
    /// What is still to be given out of the kept beginning.
    private var restoring: (offset: Int64, end: Int64)?
    private var isKeeping = false
    /// Whether a mark passes, of which nothing goes on.
    private var isMark = false

    package init(shelf: any LayerShelf) throws(ImageError) {
        source = try PlainDecoder()
        self.shelf = shelf
    }

    package var isComplete: Bool { source.isComplete && scanner.hasEnded }

    package func add(_ piece: ByteBuffer) { source.add(piece) }

    package func next() throws(ImageError) -> ByteBuffer? {
        while true {
            if let bytes = try restored() { return bytes }
            if let event = try scanner.next(&input) {
                if let bytes = try take(event), bytes.readableBytes > 0 { return bytes }
            } else {
                guard let piece = try source.next() else { return nil }
                input.discardReadBytes()
                input.writeImmutableBuffer(piece)
            }
        }
    }

    private func restored() throws(ImageError) -> ByteBuffer? {
        guard let (offset, end) = restoring else { return nil }
        guard offset < end else {
            restoring = nil
            return nil
        }
        let count = Int(min(end - offset, Int64(Self.pieceSize)))
        guard let bytes = shelf.read(at: offset, atMost: count), bytes.readableBytes > 0 else {
            throw ImageError(.damagedFile, "what was kept of a layer cannot be read; send it whole")
        }
        restoring = (offset + Int64(bytes.readableBytes), end)
        return bytes
    }

    private func take(_ event: TarScanner.Event) throws(ImageError) -> ByteBuffer? {
        switch event {
        case .entry(let entry, let head):
            if let found = try LayerMark.read(entry) {
                mark = found
                isMark = true
                return nil
            }
            try begin(entry)
            return head
        case .content(let bytes):
            if isKeeping { shelf.append(bytes) }
            return bytes
        case .entryEnd(let padding):
            isKeeping = false
            if isMark {
                isMark = false
                return nil
            }
            return padding
        case .end(let end): return end
        }
    }

    private func begin(_ entry: TarEntry) throws(ImageError) {
        guard let (layer, kept) = mark else { return }
        mark = nil
        guard entry.kind == .file, kept <= entry.size else {
            throw .malformed("a layer's mark does not fit '\(entry.name.prefix(200))'")
        }
        isKeeping = shelf.begin(layer, size: entry.size, kept: kept)
        guard kept > 0 else { return }
        guard isKeeping else {
            throw ImageError(.damagedFile, "what was kept of layer \(layer.short) is not here any more; send it whole")
        }
        scanner.skip(kept)
        restoring = (0, kept)
    }
}
