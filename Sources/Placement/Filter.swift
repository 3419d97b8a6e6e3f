import Fleet

/// One thing that can stand against a node; answers with the reason.
protocol Filter: Sendable {
    /// Why `node` cannot have the workload; nil where this filter has nothing against it. Must be cheap: it is asked of every node.
    func refusal(of node: Node) -> Refusal?
}

/// The filters of one question, in the order in which their reasons help most.
struct Filters: Sendable {
    private let all: [any Filter]

    /// What stands against nodes other than the origin.
    static func others(_ question: Question) -> Filters {
        let request = question.request
        var all: [any Filter] = []
        if !request.ties.isEmpty { all.append(TieFilter(ties: request.ties, origin: request.origin)) }
        if let target = request.policy.target { all.append(TargetFilter(target: target)) }
        all.append(StateFilter())
        if !question.refused.isEmpty { all.append(RefusedFilter(refused: question.refused)) }
        all.append(AcceptsWorkFilter())
        all.append(TenantFilter(tenant: request.tenant))
        if !question.platform.text.isEmpty { all.append(PlatformFilter(wanted: question.platform)) }
        if !request.policy.tags.isEmpty { all.append(TagFilter(tags: request.policy.tags)) }
        if request.resources.cpus > 0 { all.append(CPUFilter(wanted: request.resources.cpus)) }
        if request.resources.memory > .zero { all.append(MemoryFilter(wanted: request.resources.memory)) }
        all.append(DiskFilter(question: question))
        return Filters(all: all)
    }

    /// What stands against the origin: only what its own engine could not do either, since the user's device is the user's.
    static func origin(_ question: Question) -> Filters {
        var all: [any Filter] = [EngineFilter(), RefusedFilter(refused: question.refused)]
        if let target = question.request.policy.target { all.append(TargetFilter(target: target)) }
        return Filters(all: all)
    }

    private init(all: [any Filter]) { self.all = all }

    /// Whether nothing stands against the node; stops at the first filter that objects.
    func admit(_ node: Node) -> Bool {
        for filter in all where filter.refusal(of: node) != nil { return false }
        return true
    }

    /// Everything that stands against the node.
    func refusals(of node: Node) -> [Refusal] { all.compactMap { $0.refusal(of: node) } }
}
