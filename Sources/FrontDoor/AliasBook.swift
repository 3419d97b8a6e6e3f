internal import DockerAPI
internal import Engine
internal import Fleet

/// Which containers have other ids at their engines than their users know; kept in the journal.
@NodeLoop
final class AliasBook {
    private var engineIDs: [NodeID: [String: String]] = [:]
    private let journal: Journal

    init(journal: Journal) throws(FrontDoorError) {
        self.journal = journal
        for (node, shown, engine) in try journal.aliases() { engineIDs[node, default: [:]][shown] = engine }
    }

    /// Those at a node; nil where each is known by its own.
    func table(at node: NodeID) -> AliasTable? {
        engineIDs[node].map { ids in AliasTable(ids.map { .init(engineID: $0.value, shownID: $0.key) }) }
    }

    func engineID(of shown: String, at node: NodeID) -> String? { engineIDs[node]?[shown] }
    func shownIDs(at node: NodeID) -> [String] { engineIDs[node].map { Array($0.keys) } ?? [] }

    func put(_ shown: String, engineID: String, at node: NodeID) throws(FrontDoorError) {
        try journal.putAlias(shown, engineID: engineID, at: node)
        engineIDs[node, default: [:]][shown] = engineID
    }

    func remove(_ shown: String, at node: NodeID) throws(FrontDoorError) {
        guard engineIDs[node]?.removeValue(forKey: shown) != nil else { return }
        if engineIDs[node]?.isEmpty ?? false { engineIDs[node] = nil }
        try journal.removeAlias(shown, at: node)
    }
}
