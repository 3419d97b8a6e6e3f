import Fleet

/// What a heartbeat says of its node.
enum HeartbeatNews: Sendable, Hashable {
    /// It is as it was.
    case none
    /// It is as it was, but for these.
    case measures(Measures)
    case node(Node)

    /// - Parameter known: what the node said before; not asked for where it is of no use.
    func node(knowing known: @autoclosure () -> Node?) -> Node? {
        switch self {
        case .none: return known()
        case .node(let node): return node
        case .measures(let measures):
            var node = known()
            node?.measures = measures
            return node
        }
    }
}
