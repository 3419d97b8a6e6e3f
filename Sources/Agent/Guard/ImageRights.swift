import Engine
import Fleet
import Glibc
import Images

/// Whose images are whose: what a node sent here, had pulled here, or made here, it may take home.
///
/// One line of a file for each, so that a restart forgets none; where the file cannot be written, that holds until the
/// restart. The oldest are forgotten first.
@NodeLoop
final class ImageRights {
    enum Source: String, Sendable {
        /// Sent by the node, or pulled for it.
        case brought
        /// Made here by the node; it may remove it too.
        case made
    }

    private struct Right: Hashable {
        var origin: NodeID
        var image: LayerDigest
    }

    private static let limit = 4096

    private let path: String?
    private var sources: [Right: Source] = [:]
    private var order: [Right] = []

    /// - Parameter path: the file; made when it is needed. Nil keeps everything in memory.
    init(path: String?) {
        self.path = path
        guard let path, let text = TextFile.read(path) else { return }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let source = Source(rawValue: String(words[0])),
                let origin = try? NodeID(String(words[1])), let image = LayerDigest(String(words[2]))
            else { continue }
            let right = Right(origin: origin, image: image)
            if sources.updateValue(source, forKey: right) == nil { order.append(right) }
        }
        guard order.count > Self.limit / 2 else { return }
        for right in order.dropLast(Self.limit / 2) { sources[right] = nil }
        order = Array(order.suffix(Self.limit / 2))
        unlink(path)
        TextFile.append(order.map { Self.line($0, sources[$0] ?? .brought) }.joined(), to: path)
    }

    func grant(_ image: LayerDigest, to origin: NodeID, _ source: Source) {
        let right = Right(origin: origin, image: image)
        // What was sent here once is not the sender's to remove only because it made it again.
        guard sources[right] == nil else { return }
        sources[right] = source
        order.append(right)
        if order.count > Self.limit {
            for old in order.prefix(Self.limit / 4) { sources[old] = nil }
            order.removeFirst(Self.limit / 4)
        }
        if let path { TextFile.append(Self.line(right, source), to: path) }
    }

    func has(_ image: LayerDigest, _ origin: NodeID) -> Bool { source(of: image, origin) != nil }

    func source(of image: LayerDigest, _ origin: NodeID) -> Source? {
        sources[Right(origin: origin, image: image)]
    }

    private nonisolated static func line(_ right: Right, _ source: Source) -> String {
        "\(source.rawValue) \(right.origin.name) \(right.image)\n"
    }
}
