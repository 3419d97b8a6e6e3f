import Fleet

/// Only a node that is ready; a suspect one may be gone by the time the container starts.
struct StateFilter: Filter {
    func refusal(of node: Node) -> Refusal? { node.state == .ready ? nil : .state(node.state) }
}

/// The origin is asking right now, so it is alive whatever its heartbeats say; only its engine can be away.
struct EngineFilter: Filter {
    func refusal(of node: Node) -> Refusal? { node.state == .engineDown ? .state(.engineDown) : nil }
}

struct AcceptsWorkFilter: Filter {
    func refusal(of node: Node) -> Refusal? { node.acceptsWork ? nil : .takesNoWork }
}

/// What is there may stay; nothing new comes.
struct DrainFilter: Filter {
    func refusal(of node: Node) -> Refusal? { node.drainedSince == nil ? nil : .drained(node.id) }
}

struct TenantFilter: Filter {
    let tenant: TenantID
    func refusal(of node: Node) -> Refusal? { node.tenant == tenant ? nil : .otherTenant(node.tenant) }
}

struct TargetFilter: Filter {
    let target: NodeID
    func refusal(of node: Node) -> Refusal? { node.id == target ? nil : .notTheTarget(target) }
}

struct RefusedFilter: Filter {
    let refused: [NodeID: String]
    func refusal(of node: Node) -> Refusal? { refused[node.id].map(Refusal.refusedJustNow) }
}

/// What only the origin has keeps the workload there.
struct TieFilter: Filter {
    let ties: [String]
    let origin: NodeID
    func refusal(of node: Node) -> Refusal? { node.id == origin ? nil : .tied(ties, to: origin) }
}

struct TagFilter: Filter {
    let tags: [String]
    func refusal(of node: Node) -> Refusal? {
        if tags.allSatisfy(node.tags.contains) { return nil }
        return .lacksTags(tags.filter { !node.tags.contains($0) })
    }
}

struct PlatformFilter: Filter {
    let wanted: Platform
    func refusal(of node: Node) -> Refusal? {
        // Nearly always the same spelling: compared before anything is taken apart.
        if node.platform == wanted.text || Platform(node.platform).runs(wanted) { return nil }
        return .platform(has: node.platform, wants: wanted.text)
    }
}
