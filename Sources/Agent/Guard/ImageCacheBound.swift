package import Fleet

#if canImport(Glibc)
    import Glibc
#endif

/// How much of this node's disk images may take that Lighter brought: `image_cache_max_bytes`.
package enum ImageCacheBound: Sendable, Hashable {
    /// A part of the disk of the engine's data root, 0 to 1; no bound where that disk cannot be measured.
    case share(Double)
    case bytes(ByteCount)
    /// Nothing is ever removed.
    case off

    /// Reads `20%`, a size as `sized` reads it, or `off`.
    package init?(_ text: String, sized: (String) -> ByteCount?) {
        if text == "off" {
            self = .off
        } else if text.hasSuffix("%"), let number = Double(text.dropLast()), (0...100).contains(number) {
            self = .share(number / 100)
        } else if let size = sized(text) {
            self = .bytes(size)
        } else {
            return nil
        }
    }

    /// - Parameter dataRoot: the engine's; empty where it is not known.
    func bytes(dataRoot: String) -> Int64? {
        switch self {
        case .off: return nil
        case .bytes(let bytes): return bytes.bytes
        case .share(let share):
            var figures = statvfs()
            guard !dataRoot.isEmpty, statvfs(dataRoot, &figures) == 0, figures.f_blocks > 0 else { return nil }
            return Int64(Double(figures.f_blocks) * Double(figures.f_frsize) * share)
        }
    }
}
