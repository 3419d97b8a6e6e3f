package import Fleet

extension Lighter_V1_FleetPush {
    /// The whole snapshot.
    package init(full snapshot: FleetSnapshot) {
        self.init()
        revision = snapshot.revision
        full = true
        nodes = snapshot.nodes.map(Lighter_V1_NodeMessage.init)
    }

    /// What changed from `old` to `new`.
    package init(from old: FleetSnapshot, to new: FleetSnapshot) {
        self.init()
        revision = new.revision
        let before = Dictionary(old.nodes.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let names = Set(new.nodes.map(\.id))
        nodes = new.nodes.filter { before[$0.id] != $0 }.map(Lighter_V1_NodeMessage.init)
        removed = before.keys.filter { !names.contains($0) }.map(\.name).sorted()
    }

    /// The snapshot after this push; nil when the push is older than what is known and changes nothing.
    ///
    /// A full push always counts, since a gateway that was restored from a copy may count from an earlier revision. A node that
    /// cannot be read is left out rather than costing all the others; nodes come back in the order of their names.
    package func applied(to snapshot: FleetSnapshot) -> FleetSnapshot? {
        guard full || revision > snapshot.revision else { return nil }
        var nodesByName: [String: Node] = [:]
        if !full { for node in snapshot.nodes { nodesByName[node.id.name] = node } }
        for message in nodes { nodesByName[message.id] = try? message.domain() }
        for name in removed { nodesByName[name] = nil }
        return FleetSnapshot(revision: revision, nodes: nodesByName.values.sorted { $0.id < $1.id })
    }
}
