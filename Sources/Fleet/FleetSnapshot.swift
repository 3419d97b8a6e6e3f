/// All nodes at one moment, as the gateway pushes them.
package struct FleetSnapshot: Sendable, Hashable, Codable {
    /// Grows with every change; a snapshot never goes backwards.
    package var revision: UInt64
    package var nodes: [Node]

    package init(revision: UInt64 = 0, nodes: [Node] = []) {
        self.revision = revision
        self.nodes = nodes
    }

    /// Takes in what a node measured, where it is known.
    package mutating func note(_ measures: Measures, of id: NodeID) {
        guard let index = nodes.firstIndex(where: { $0.id == id }), nodes[index].measures != measures else { return }
        nodes[index].measures = measures
    }

    package subscript(id: NodeID) -> Node? { nodes.first { $0.id == id } }
}
