package import Fleet
import SwiftProtobuf

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

    /// Adds the nodes of another push, which came as bytes.
    /// - Throws: `WireError.malformed` for bytes that are no push.
    package mutating func addNodes(of bytes: [UInt8]) throws(WireError) {
        do {
            nodes += try Self(serializedBytes: bytes).nodes
        } catch {
            throw WireError(.malformed, "\(bytes.count) bytes are no nodes", cause: error)
        }
    }

    /// The snapshot after this push; nil when the push is older than what is known and changes nothing.
    package func applied(to snapshot: FleetSnapshot) -> FleetSnapshot? {
        var snapshot = snapshot
        return apply(to: &snapshot) ? snapshot : nil
    }

    /// Takes the push in; false when it is older than what is known and changes nothing.
    ///
    /// A full push always counts, since a gateway that was restored from a copy may count from an earlier revision. A node that
    /// cannot be read is left out rather than costing all the others; nodes stay in the order of their names.
    package func apply(to snapshot: inout FleetSnapshot) -> Bool {
        guard full || revision > snapshot.revision else { return false }
        snapshot.revision = revision
        if full { snapshot.nodes = [] }
        // In place while they are few beside those that are known; else once over all.
        guard nodes.count + removed.count < snapshot.nodes.count / 16 else {
            applyAll(to: &snapshot)
            return true
        }
        for message in nodes { Self.put(try? message.domain(), under: message.id, in: &snapshot.nodes) }
        for name in removed { Self.put(nil, under: name, in: &snapshot.nodes) }
        return true
    }

    private func applyAll(to snapshot: inout FleetSnapshot) {
        var nodesByName: [String: Node] = [:]
        nodesByName.reserveCapacity(snapshot.nodes.count + nodes.count)
        for node in snapshot.nodes { nodesByName[node.id.name] = node }
        for message in nodes { nodesByName[message.id] = try? message.domain() }
        for name in removed { nodesByName[name] = nil }
        snapshot.nodes = nodesByName.values.sorted { $0.id < $1.id }
    }

    private static func put(_ node: Node?, under name: String, in nodes: inout [Node]) {
        var (low, high) = (0, nodes.count)
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].id.name < name { low = middle + 1 } else { high = middle }
        }
        let isKnown = low < nodes.count && nodes[low].id.name == name
        switch (node, isKnown) {
        case (let node?, true): nodes[low] = node
        case (let node?, false): nodes.insert(node, at: low)
        case (nil, true): nodes.remove(at: low)
        case (nil, false): break
        }
    }
}
