import NIOCore

/// The entry that a sender puts before a layer's file, for a receiver that keeps layers until their image is whole.
///
/// An empty file called `.lighter/DIFFID/KEPT`: the file that follows is this layer, without its first KEPT bytes, which the
/// receiver has from an earlier try. It is for the receiver's guard alone, and no engine sees it.
enum LayerMark {
    private static let folder = ".lighter"

    static func entry(_ layer: LayerDigest, kept: Int64) -> ByteBuffer {
        TarEntry.file("\(folder)/\(layer.hex)/\(kept)", [])
    }

    /// nil for any other entry.
    static func read(_ entry: TarEntry) throws(ImageError) -> (layer: LayerDigest, kept: Int64)? {
        let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.first == Substring(folder) else { return nil }
        guard parts.count == 3, entry.kind == .file, entry.size == 0, let layer = LayerDigest(hex: parts[1]),
            let kept = Int64(parts[2]), kept >= 0
        else { throw .malformed("'\(entry.name.prefix(200))' is no layer's mark") }
        return (layer, kept)
    }
}
