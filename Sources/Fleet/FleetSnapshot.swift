/// All nodes at one moment, as the gateway pushes them.
package struct FleetSnapshot: Sendable, Hashable, Codable {
    /// Grows with every change; a snapshot never goes backwards.
    package var revision: UInt64
    package var nodes: [Node]

    package init(revision: UInt64 = 0, nodes: [Node] = []) {
        self.revision = revision
        self.nodes = nodes
    }

    package subscript(id: NodeID) -> Node? { nodes.first { $0.id == id } }
}
