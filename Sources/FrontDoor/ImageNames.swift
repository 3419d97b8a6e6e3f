internal import Engine
internal import Fleet
internal import Images

/// What other nodes call this device's images, where that is not what they are called here.
///
/// An image's id is the digest of its configuration, but that of its manifest to an engine that keeps images in containerd.
/// Either is told by the engine that takes an archive in. Kept in the journal: an image that is there is not sent again.
@NodeLoop
final class ImageNames {
    private let journal: Journal
    private var there: [NodeID: [String: String]] = [:]

    init(journal: Journal) {
        self.journal = journal
        for row in (try? journal.imageNames()) ?? [] { there[row.node, default: [:]][row.here] = row.there }
    }

    /// The id at a node of an image that is called `id` here.
    func id(of id: String, at node: NodeID) -> String { there[node]?[id] ?? id }

    func id(of id: LayerDigest, at node: NodeID) -> LayerDigest {
        LayerDigest(self.id(of: "\(id)", at: node)) ?? id
    }

    /// What is called `id` at the node, by its id here.
    func here(of id: String, at node: NodeID) -> String? { there[node]?.first { $0.value == id }?.key }

    func note(_ id: String, at node: NodeID, is other: String) throws(FrontDoorError) {
        guard self.id(of: id, at: node) != other else { return }
        if id == other { return try forget(id, at: node) }
        there[node, default: [:]][id] = other
        try journal.put(imageName: other, of: id, at: node)
    }

    /// The node does not have the image any more.
    func forget(_ id: String, at node: NodeID) throws(FrontDoorError) {
        guard there[node]?.removeValue(forKey: id) != nil else { return }
        try journal.removeImageName(of: id, at: node)
    }
}
