import Engine
import Fleet
import Glibc
import Images

/// What Lighter has brought to this node's engine: when each image was last used, and who has pinned it.
///
/// Only what stands here is ever given up; all else is the owner's. Each change is a line of a file, so that a restart forgets
/// none; an image of which a line was lost is one that is never removed.
@NodeLoop
final class ImageCache {
    struct Entry: Sendable, Hashable {
        /// The names that Lighter's pulls have given it, as `docker images` shows them.
        var names: Set<String> = []
        /// Seconds since 1970.
        var usedAt: Double
        /// By the node that asked for it; until when, in seconds since 1970, or for good.
        var pins: [NodeID: Double] = [:]

        /// When its last pin ends; nil where none holds.
        func pinned(at now: Double) -> Double? { pins.values.filter { $0 > now }.max() }
    }

    /// Seconds between two lines about the use of one image.
    private static let useResolution = 60.0

    private let path: String?
    private(set) var entries: [LayerDigest: Entry] = [:]
    /// Images that somebody counts on, who has not used them yet; until when.
    private var holds: [LayerDigest: Double] = [:]
    private var writtenUses: [LayerDigest: Double] = [:]
    private var lines = 0
    /// Whether the file may end in the middle of a line.
    private var isTorn = false

    /// - Parameter path: the file; made when it is needed. Nil keeps everything in memory.
    init(path: String?) {
        self.path = path
        guard let path, let text = TextFile.read(path) else { return }
        for line in text.split(separator: "\n") { apply(line.split(separator: " ").map(String.init)) }
        rewrite()
    }

    subscript(image: LayerDigest) -> Entry? { entries[image] }

    var isEmpty: Bool { entries.isEmpty }

    /// Whether the image that has this name got it from Lighter.
    func hasNamed(_ image: LayerDigest?, _ name: String) -> Bool {
        image.flatMap { entries[$0] }?.names.contains(name) ?? false
    }

    /// - Parameter name: what a pull has called it.
    func put(_ image: LayerDigest, name: String? = nil, at now: Double) {
        note(["brought", "\(image)", "\(Int64(now))"])
        if let name, !hasNamed(image, name) { note(["named", "\(image)", name]) }
    }

    func used(_ image: LayerDigest, at now: Double) {
        guard let entry = entries[image], now > entry.usedAt else { return }
        guard now - (writtenUses[image] ?? 0) < Self.useResolution else {
            return note(["used", "\(image)", "\(Int64(now))"])
        }
        entries[image]?.usedAt = now
    }

    /// It is gone, or the owner's from now on.
    func forget(_ image: LayerDigest) {
        guard entries[image] != nil else { return }
        holds[image] = nil
        note(["gone", "\(image)"])
    }

    /// - Parameter until: seconds since 1970; infinity for good. A pin never shortens the same node's other one.
    func pin(_ image: LayerDigest, by node: NodeID, until: Double) {
        guard let entry = entries[image], (entry.pins[node] ?? 0) < until else { return }
        note(["pinned", "\(image)", node.name, until.isFinite ? "\(Int64(until))" : "-"])
    }

    func unpin(_ image: LayerDigest, by node: NodeID) {
        guard entries[image]?.pins[node] != nil else { return }
        note(["unpinned", "\(image)", node.name])
    }

    /// Keeps it for somebody who was told that it is here.
    func hold(_ image: LayerDigest, until: Double) {
        guard entries[image] != nil else { return }
        holds[image] = max(until, holds[image] ?? 0)
    }

    func isHeld(_ image: LayerDigest, at now: Double) -> Bool { holds[image].map { $0 > now } ?? false }

    /// Lets go of holds that ended before.
    func release(heldUntil time: Double) { holds = holds.filter { $0.value > time } }

    // MARK: - The file

    private func note(_ words: [String]) {
        apply(words)
        guard let path else { return }
        lines += 1
        if lines > 64 + 8 * entries.count { return rewrite() }
        isTorn = !TextFile.append((isTorn ? "\n" : "") + words.joined(separator: " ") + "\n", to: path)
    }

    private func apply(_ words: [String]) {
        guard words.count > 1, let image = LayerDigest(words[1]) else { return }
        let last = words[words.count - 1]
        switch (words[0], words.count) {
        case ("brought", 3):
            guard let time = Double(last) else { return }
            entries[image, default: Entry(usedAt: time)].usedAt = time
            writtenUses[image] = time
        case ("named", 3): entries[image]?.names.insert(last)
        case ("used", 3):
            guard let time = Double(last), entries[image] != nil else { return }
            entries[image]?.usedAt = time
            writtenUses[image] = time
        case ("pinned", 4):
            guard let node = try? NodeID(words[2]) else { return }
            if let until = last == "-" ? .infinity : Double(last) { entries[image]?.pins[node] = until }
        case ("unpinned", 3): if let node = try? NodeID(last) { entries[image]?.pins[node] = nil }
        case ("gone", 2):
            entries[image] = nil
            writtenUses[image] = nil
        default: break
        }
    }

    /// One set of lines for what is known now, in the old file's place.
    private func rewrite() {
        guard let path else { return }
        var text: [String] = []
        for (image, entry) in entries.sorted(by: { $0.key.hex < $1.key.hex }) {
            text.append("brought \(image) \(Int64(entry.usedAt))\n")
            text += entry.names.sorted().map { "named \(image) \($0)\n" }
            text += entry.pins.sorted { $0.key < $1.key }.map {
                "pinned \(image) \($0.key) \($0.value.isFinite ? "\(Int64($0.value))" : "-")\n"
            }
        }
        lines = text.count
        guard TextFile.append(text.joined(), to: "\(path).new", truncating: true) else { return }
        isTorn = false
        rename("\(path).new", path)
    }
}

/// Small files of lines.
enum TextFile {
    /// nil where it cannot be read.
    static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += piece[..<count]
        }
    }

    /// - Returns: whether all of it was written.
    @discardableResult
    static func append(
        _ text: String, to path: String, truncating: Bool = false, durably: Bool = false
    ) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (truncating ? O_TRUNC : O_APPEND), 0o600)
        guard file >= 0 else { return false }
        let bytes = Array(text.utf8)
        let count = write(file, bytes, bytes.count)
        let isKept = !durably || fsync(file) == 0
        return close(file) == 0 && count == bytes.count && isKept
    }
}
