/// What one round does, or a page of it.
struct Plan: Sendable {
    struct Put: Sendable {
        let path: TreePath
        let kind: Shipment.Kind
        let expected: UInt64
    }

    struct Take: Sendable {
        let path: TreePath
        let entry: Entry
        let allowsTwin: Bool
    }

    /// In the order in which they have to be done at the target.
    var puts: [Put] = []
    /// To be removed at the origin, in order.
    var removals: [TreePath] = []
    /// To be brought to the origin, in order.
    var takes: [Take] = []
    /// Both sides have the same by now.
    var agreed: [TreePath] = []

    /// Whether either side's tree changes by it.
    var isEmpty: Bool { puts.isEmpty && removals.isEmpty && takes.isEmpty }
}
