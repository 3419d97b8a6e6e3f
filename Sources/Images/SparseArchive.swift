import Crypto
package import NIOCore

/// Passes on what `docker save` writes, without the layers that the receiving engine has, and checks the rest by digest.
///
/// An engine's `load` opens a layer's file only where its layer store lacks the layer, so manifest, configuration and
/// the missing layers are a whole image to it. Which file is which layer is known as it comes: from its name in the
/// layouts of Docker 25 and later (`blobs/sha256/DIFFID`) and of Podman (`DIFFID.tar`), and from its folder's (`FolderName`)
/// in Docker's older one. A file of which nothing is known is passed on, so that the image is never less than whole.
package struct SparseArchive: Sendable {
    /// A layer on its way.
    package struct Moving: Sendable, Hashable {
        package var layer: LayerDigest
        package var sent: Int64
        package var size: Int64
    }

    private enum Current {
        case passed
        case dropped
        /// The `json` in a layer's folder.
        case description(folder: String, ByteBuffer)
        /// A file with a digest; `layer` where it is known that it is one of the image's layers.
        case checked(Expectation, SHA256)
    }

    private enum Expectation {
        case layer(LayerDigest)
        /// A blob that is no layer, as far as its name says.
        case blob(LayerDigest)
        /// A layer, but which one, only its digest will tell.
        case someLayer
    }

    private let diffIDs: [LayerDigest]
    private let chainIDs: [LayerDigest]
    /// Diff ids of the layers that the receiver lacks. One layer may be in an image twice; it is sent if either is missing.
    private let wanted: Set<LayerDigest>
    private var scanner = TarScanner()
    /// What waits for the rest of a header.
    private(set) var input = ByteBuffer()
    private var folders: [String: LayerDigest] = [:]
    private var current = Current.passed
    private var path = ""

    /// Bytes of each layer that the receiver has of an earlier try; nil for one that does not know of marks.
    private let kept: [LayerDigest: Int64]?
    /// Whether nothing but the layers goes on.
    private let isParcel: Bool
    /// What is still to be left out of the layer that is passing.
    private var sparing: Int64 = 0
    /// Bytes that the receiver had.
    package private(set) var spared: Int64 = 0

    /// The layer that is passing now.
    package private(set) var moving: Moving?
    /// Layers that have passed and are what their digests say.
    package private(set) var arrived: Set<LayerDigest> = []

    /// - Parameters:
    ///   - diffIDs: of the image's layers, bottom first.
    ///   - missing: chain ids of those that the receiver lacks.
    ///   - kept: by diff id, how many bytes the receiver has of an earlier try; nil where it keeps none (`LayerMark`).
    ///   - isParcel: for a receiver that shall have the layers and nothing of the image besides (`LayerIntake`).
    package init(
        diffIDs: [LayerDigest], missing: Set<LayerDigest>, kept: [LayerDigest: Int64]? = nil, isParcel: Bool = false
    ) {
        self.diffIDs = diffIDs
        self.kept = kept
        self.isParcel = isParcel
        chainIDs = LayerDigest.chain(of: diffIDs)
        wanted = Set(zip(diffIDs, chainIDs).filter { missing.contains($1) }.map(\.0))
    }

    /// Takes the next piece of the archive and returns what of it goes on; maybe nothing.
    package mutating func pass(_ piece: ByteBuffer) throws(ImageError) -> ByteBuffer {
        if input.readableBytes == 0 {
            input = piece
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(piece)
        }
        var output = ByteBuffer()
        while let event = try scanner.next(&input) {
            guard let bytes = try take(event), bytes.readableBytes > 0 else { continue }
            if output.readableBytes == 0 { output = bytes } else { output.writeImmutableBuffer(bytes) }
        }
        return output
    }

    /// To be called behind the last piece: an archive that was cut short is not a whole one.
    package func finish() throws(ImageError) {
        guard scanner.hasEnded else { throw .malformed("it ends in the middle") }
    }

    private mutating func take(_ event: TarScanner.Event) throws(ImageError) -> ByteBuffer? {
        switch event {
        case .entry(let entry, let head):
            let mark = begin(entry)
            return goesOn ? mark.map { $0 + head } ?? head : nil
        case .content(let bytes):
            let passed = content(bytes)
            return goesOn ? passed : nil
        case .entryEnd(let padding):
            let went = goesOn
            if case .dropped = current { return nil }
            try complete()
            return went ? padding : nil
        case .end(let mark): return mark
        }
    }

    /// Whether the receiver gets the entry that is passing.
    private var goesOn: Bool {
        switch current {
        case .dropped: false
        case .checked(.layer, _): true
        default: !isParcel
        }
    }

    /// - Returns: what goes before the entry.
    private mutating func begin(_ entry: TarEntry) -> ByteBuffer? {
        path = entry.name.hasPrefix("./") ? String(entry.name.dropFirst(2)) : entry.name
        current = .passed
        guard entry.kind == .file else { return nil }
        var mark: ByteBuffer?
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, parts[1] == "json", entry.size <= Int64(FolderName.limit) {
            current = .description(folder: String(parts[0]), ByteBuffer())
        } else if let expectation = expectation(parts) {
            if case .layer(let layer) = expectation {
                guard wanted.contains(layer) else {
                    current = .dropped
                    return nil
                }
                moving = Moving(layer: layer, sent: 0, size: entry.size)
                if let kept {
                    let known = kept[layer] ?? 0
                    sparing = known <= entry.size ? known : 0
                    spared += sparing
                    mark = LayerMark.entry(layer, kept: sparing)
                }
            }
            current = .checked(expectation, SHA256())
        }
        return mark
    }

    private func expectation(_ parts: [Substring]) -> Expectation? {
        if parts.count == 3, parts[0] == "blobs", parts[1] == "sha256", let digest = LayerDigest(hex: parts[2]) {
            return diffIDs.contains(digest) ? .layer(digest) : .blob(digest)
        }
        if parts.count == 2, parts[1] == "layer.tar" {
            return folders[String(parts[0])].map { .layer($0) } ?? .someLayer
        }
        if parts.count == 1, parts[0].hasSuffix(".tar"), let digest = LayerDigest(hex: parts[0].dropLast(4)) {
            return diffIDs.contains(digest) ? .layer(digest) : .someLayer
        }
        return nil
    }

    private mutating func content(_ bytes: ByteBuffer) -> ByteBuffer? {
        moving?.sent += Int64(bytes.readableBytes)
        switch current {
        case .passed: return bytes
        case .dropped: return nil
        case .description(let folder, var json):
            json.writeImmutableBuffer(bytes)
            current = .description(folder: folder, json)
            return bytes
        case .checked(let expectation, var hash):
            bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
            current = .checked(expectation, hash)
            let left = Int(min(sparing, Int64(bytes.readableBytes)))
            sparing -= Int64(left)
            return left == 0
                ? bytes
                : bytes.getSlice(
                    at: bytes.readerIndex + left, length: bytes.readableBytes - left)
        }
    }

    private mutating func complete() throws(ImageError) {
        switch current {
        case .passed, .dropped: break
        case .description(let folder, let json):
            let position = FolderName.position(of: folder, json: Array(json.readableBytesView), in: chainIDs)
            if let position { folders[folder] = diffIDs[position] }
        case .checked(let expectation, let hash):
            moving = nil
            let found = LayerDigest(hash.finalize())
            switch expectation {
            case .layer(let layer) where layer != found: throw .damaged(path, found)
            case .blob(let blob) where blob != found: throw .damaged(path, found)
            // An image without layers that are known says nothing of what they should be.
            case .someLayer where !diffIDs.isEmpty && !diffIDs.contains(found): throw .damaged(path, found)
            default: if diffIDs.contains(found) { arrived.insert(found) }
            }
        }
        current = .passed
    }
}
