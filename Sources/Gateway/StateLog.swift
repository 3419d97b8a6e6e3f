import Fleet

/// The nodes of a tenant in the order in which their states changed last. Pure.
///
/// What a session has not been told is the end of this list after its revision: a node that changes moves to the end, so that
/// who walks along it misses nothing, and is never told more than each node once.
struct StateLog {
    struct Item: Equatable {
        var revision: UInt64
        var node: NodeID
    }

    /// Ascending; an item is over when its node has changed again.
    private var items: [Item] = []
    private var latest: [NodeID: UInt64] = [:]

    /// The revision of the last change; 0 before the first.
    var last: UInt64 { items.last?.revision ?? 0 }
    /// How many nodes there are.
    var count: Int { latest.count }
    /// All nodes, those that changed last at the end.
    var nodes: some Sequence<NodeID> { items.lazy.filter { latest[$0.node] == $0.revision }.map(\.node) }

    /// - Parameter revision: above all before.
    mutating func note(_ node: NodeID, at revision: UInt64) {
        latest[node] = revision
        items.append(Item(revision: revision, node: node))
        // Copying only when half is over keeps it constant for each change.
        guard items.count > 2 * latest.count + 64 else { return }
        items.removeAll { latest[$0.node] != $0.revision }
    }

    /// The changes after a revision, from the oldest on.
    func after(_ revision: UInt64) -> some Sequence<Item> {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if items[middle].revision <= revision { low = middle + 1 } else { high = middle }
        }
        return items[low...].lazy.filter { latest[$0.node] == $0.revision }
    }
}
