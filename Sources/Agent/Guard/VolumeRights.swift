import Engine
import Fleet
import Glibc

/// Whose the volumes without names are that containers of other nodes left behind: neither a label nor a container tells of
/// it any more.
///
/// One line of a file for each, so that a restart forgets none; where the file cannot be written, that holds until the
/// restart. The oldest are forgotten first.
@NodeLoop
final class VolumeRights {
    private static let limit = 4096

    private let path: String?
    private var origins: [String: NodeID] = [:]
    private var order: [String] = []

    /// - Parameter path: the file; made when it is needed. Nil keeps everything in memory.
    init(path: String?) {
        self.path = path
        guard let path, let text = TextFile.read(path) else { return }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 2, let origin = try? NodeID(words[0]) else { continue }
            if origins.updateValue(origin, forKey: words[1]) == nil { order.append(words[1]) }
        }
        guard order.count > Self.limit / 2 else { return }
        for name in order.dropLast(Self.limit / 2) { origins[name] = nil }
        order = Array(order.suffix(Self.limit / 2))
        unlink(path)
        TextFile.append(order.compactMap { name in origins[name].map { Self.line(name, $0) } }.joined(), to: path)
    }

    func grant(_ name: String, to origin: NodeID) {
        guard origins[name] == nil else { return }
        origins[name] = origin
        order.append(name)
        if order.count > Self.limit {
            for old in order.prefix(Self.limit / 4) { origins[old] = nil }
            order.removeFirst(Self.limit / 4)
        }
        if let path { TextFile.append(Self.line(name, origin), to: path) }
    }

    func has(_ name: String, _ origin: NodeID) -> Bool { origins[name] == origin }

    private nonisolated static func line(_ name: String, _ origin: NodeID) -> String { "\(origin.name) \(name)\n" }
}
