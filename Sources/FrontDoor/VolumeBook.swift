internal import DockerAPI
internal import Engine
internal import Fleet

/// Volumes of this device that its own engine does not have, or that hold nothing yet and may still go anywhere.
@NodeLoop
final class VolumeBook {
    enum Place: Sendable, Hashable {
        /// Made on this device and never used; what the engine said of it then.
        case unused(JSON)
        /// At that node; as its users see it.
        case away(NodeID, JSON)

        var node: NodeID? { if case .away(let node, _) = self { node } else { nil } }
    }

    private let journal: Journal
    private var places: [String: Place] = [:]

    init(journal: Journal) throws(FrontDoorError) {
        self.journal = journal
        for (name, record) in try journal.volumes() {
            guard let shown = record["volume"] else { continue }
            if let node = record["node"]?.stringValue.flatMap({ try? NodeID($0) }) {
                places[name] = .away(node, shown)
            } else {
                places[name] = .unused(shown)
            }
        }
    }

    subscript(name: String) -> Place? { places[name] }

    /// Those at other nodes, as their users see them.
    var away: [(name: String, node: NodeID, shown: JSON)] {
        places.compactMap { name, place in
            if case .away(let node, let shown) = place { (name, node, shown) } else { nil }
        }
    }

    func places(of names: some Sequence<String>) -> [String: Place] {
        places.filter { Set(names).contains($0.key) }
    }

    var hasNone: Bool { places.isEmpty }

    /// - Parameter place: nil where it is this device's own from now on, or gone.
    func put(_ place: Place?, for name: String) throws(FrontDoorError) {
        guard places[name] != place else { return }
        places[name] = place
        switch place {
        case nil: try journal.put(volume: name, nil)
        case .unused(let shown): try journal.put(volume: name, ["volume": shown])
        case .away(let node, let shown): try journal.put(volume: name, ["node": .string(node.name), "volume": shown])
        }
    }
}
