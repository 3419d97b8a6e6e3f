import Crypto
package import NIOCore

/// Takes in the layers that a neighbour gives, and keeps those that are what their digests say.
///
/// What comes is a `SparseArchive` that is a parcel: each layer behind its mark, and nothing else. What was kept of a layer
/// before is part of what its digest is taken of, so that a beginning from elsewhere is trusted no more than the rest.
package final class LayerIntake {
    private let source: PlainDecoder
    private let shelf: any LayerShelf
    private let wanted: Set<LayerDigest>
    /// Decompressed bytes that may still come.
    private var left: Int64
    private var scanner = TarScanner()
    private var input = ByteBuffer()
    private var mark: (layer: LayerDigest, kept: Int64)?
    private var current = Current.nothing
    /// What is still to be read of the kept beginning.
    private var reading: (offset: Int64, end: Int64)?

    private enum Current {
        case nothing
        case mark
        /// Not kept: it is small, or there is no room.
        case passed(LayerDigest)
        case kept(LayerDigest, SHA256)
    }

    /// Layers that are here whole, and are what they should be.
    package private(set) var arrived: Set<LayerDigest> = []
    /// Layers that came and were not kept.
    package private(set) var passed: Set<LayerDigest> = []
    /// The layer that is coming now.
    package private(set) var moving: SparseArchive.Moving?

    /// - Parameters:
    ///   - wanted: diff ids; no other layer is taken.
    ///   - limit: of what comes out of the compressed stream.
    package init(wanted: Set<LayerDigest>, shelf: any LayerShelf, limit: Int64) throws(ImageError) {
        source = try PlainDecoder()
        self.wanted = wanted
        self.shelf = shelf
        left = limit
    }

    package func add(_ piece: ByteBuffer) { source.add(piece) }

    /// Does the next bit of work, which is never more than a piece's; false when more has to be added.
    /// - Throws: where it is not a parcel of what is wanted, or a layer is not what its digest says; that layer is forgotten.
    package func step() throws(ImageError) -> Bool {
        if try readKept() { return true }
        if let event = try scanner.next(&input) {
            try take(event)
            return true
        }
        guard let piece = try source.next() else { return false }
        left -= Int64(piece.readableBytes)
        guard left >= 0 else { throw .malformed("it is longer than layers may be") }
        input.discardReadBytes()
        input.writeImmutableBuffer(piece)
        return true
    }

    /// To be called when nothing more comes.
    package func finish() throws(ImageError) {
        guard source.isComplete, scanner.hasEnded else { throw .malformed("it ends in the middle") }
    }

    private func readKept() throws(ImageError) -> Bool {
        guard let (offset, end) = reading, case .kept(let layer, var hash) = current else { return false }
        guard offset < end else {
            reading = nil
            return false
        }
        let count = Int(min(end - offset, Int64(LayerRestorer.pieceSize)))
        guard let bytes = shelf.read(at: offset, atMost: count), bytes.readableBytes > 0 else {
            throw ImageError(.damagedFile, "what was kept of layer \(layer.short) cannot be read")
        }
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        current = .kept(layer, hash)
        reading = (offset + Int64(bytes.readableBytes), end)
        return true
    }

    private func take(_ event: TarScanner.Event) throws(ImageError) {
        switch event {
        case .entry(let entry, _):
            if let found = try LayerMark.read(entry) {
                mark = found
                current = .mark
            } else {
                try begin(entry)
            }
        case .content(let bytes): try keep(bytes)
        case .entryEnd: try complete()
        case .end: break
        }
    }

    private func begin(_ entry: TarEntry) throws(ImageError) {
        guard let (layer, kept) = mark, wanted.contains(layer), entry.kind == .file, kept <= entry.size else {
            throw .malformed("'\(entry.name.prefix(200))' was not asked for")
        }
        mark = nil
        moving = SparseArchive.Moving(layer: layer, sent: kept, size: entry.size)
        guard shelf.begin(layer, size: entry.size, kept: kept) else {
            guard kept == 0 else { throw ImageError(.damagedFile, "what was kept of layer \(layer.short) has gone") }
            current = .passed(layer)
            return
        }
        current = .kept(layer, SHA256())
        scanner.skip(kept)
        reading = (0, kept)
    }

    private func keep(_ bytes: ByteBuffer) throws(ImageError) {
        moving?.sent += Int64(bytes.readableBytes)
        guard case .kept(let layer, var hash) = current else { return }
        guard shelf.append(bytes) else {
            throw ImageError(.noRoom, "there is no room for layer \(layer.short)")
        }
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        current = .kept(layer, hash)
    }

    private func complete() throws(ImageError) {
        defer { current = .nothing }
        switch current {
        case .nothing, .mark: return
        case .passed(let layer): passed.insert(layer)
        case .kept(let layer, let hash):
            let found = LayerDigest(hash.finalize())
            guard found == layer else {
                shelf.reject()
                throw ImageError(.damagedFile, "layer \(layer.short) came with the digest \(found.short)")
            }
            arrived.insert(layer)
        }
        moving = nil
    }
}
