import Fleet

/// One thing that can stand against a node; answers with the reason.
protocol Filter: Sendable {
    /// Why `node` cannot have the workload; nil where this filter has nothing against it. Must be cheap: it is asked of every node.
    func refusal(of node: Node) -> Refusal?
}

/// The filters of one question; those that it does not need are nil.
///
/// Named fields rather than a list of any filters: over thousands of nodes, boxes would cost more than what is in them.
struct Filters: Sendable {
    private var tie: TieFilter?
    private var target: TargetFilter?
    private var engine: EngineFilter?
    private var state: StateFilter?
    private var refused: RefusedFilter?
    private var acceptsWork: AcceptsWorkFilter?
    private var drain: DrainFilter?
    private var tenant: TenantFilter?
    private var platform: PlatformFilter?
    private var tag: TagFilter?
    private var cpu: CPUFilter?
    private var memory: MemoryFilter?
    private var disk: DiskFilter?

    /// What stands against nodes other than the origin.
    static func others(_ question: Question) -> Filters {
        let request = question.request
        var filters = Filters(target: request.policy.target, refused: question.refused)
        if !request.ties.isEmpty { filters.tie = TieFilter(ties: request.ties, origin: request.origin) }
        filters.state = StateFilter()
        filters.acceptsWork = AcceptsWorkFilter()
        filters.drain = DrainFilter()
        filters.tenant = TenantFilter(tenant: request.tenant)
        if !question.platform.text.isEmpty { filters.platform = PlatformFilter(wanted: question.platform) }
        if !request.policy.tags.isEmpty { filters.tag = TagFilter(tags: request.policy.tags) }
        if request.resources.cpus > 0 { filters.cpu = CPUFilter(wanted: request.resources.cpus) }
        if request.resources.memory > .zero { filters.memory = MemoryFilter(wanted: request.resources.memory) }
        filters.disk = DiskFilter(question: question)
        return filters
    }

    /// What stands against the origin: only what its own engine could not do either, since the user's device is the user's.
    static func origin(_ question: Question) -> Filters {
        var filters = Filters(target: question.request.policy.target, refused: question.refused)
        filters.engine = EngineFilter()
        return filters
    }

    private init(target: NodeID?, refused: [NodeID: String]) {
        self.target = target.map(TargetFilter.init)
        self.refused = refused.isEmpty ? nil : RefusedFilter(refused: refused)
    }

    /// Whether nothing stands against the node; stops at the first filter that objects.
    func admit(_ node: Node) -> Bool {
        ask(tie, node) == nil && ask(target, node) == nil && ask(engine, node) == nil && ask(state, node) == nil
            && ask(refused, node) == nil && ask(acceptsWork, node) == nil && ask(drain, node) == nil
            && ask(tenant, node) == nil && ask(platform, node) == nil && ask(tag, node) == nil && ask(cpu, node) == nil
            && ask(memory, node) == nil && ask(disk, node) == nil
    }

    /// Everything that stands against the node, in the order in which the reasons help most.
    func refusals(of node: Node) -> [Refusal] {
        [
            ask(tie, node), ask(target, node), ask(engine, node), ask(state, node), ask(refused, node),
            ask(acceptsWork, node), ask(drain, node), ask(tenant, node), ask(platform, node), ask(tag, node),
            ask(cpu, node), ask(memory, node), ask(disk, node),
        ].compactMap(\.self)
    }

    @inline(__always)
    private func ask<F: Filter>(_ filter: F?, _ node: Node) -> Refusal? {
        if let filter { filter.refusal(of: node) } else { nil }
    }
}
