package import Engine
package import Fleet

/// All routes of this device, by id, name and id prefix; kept in the journal, so that a restart forgets none.
@NodeLoop
package final class RouteBook {
    private var byID: [String: Route] = [:]
    private var idByName: [String: String] = [:]
    private var idByWorkload: [WorkloadID: String] = [:]
    /// Names that a create in progress holds.
    private var reserved: Set<String> = []
    /// Who waits for a name that another create holds, in their order.
    private var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]
    package let journal: Journal

    /// Reads what the journal holds.
    package init(journal: Journal) throws(FrontDoorError) {
        self.journal = journal
        for route in try journal.routes() { index(route) }
    }

    package var all: [Route] { Array(byID.values) }
    package var isEmpty: Bool { byID.isEmpty }
    package var targets: Set<NodeID> { Set(byID.values.map(\.target)) }

    package subscript(id: String) -> Route? { byID[id] }

    package func named(_ name: String) -> Route? { idByName[name].flatMap { byID[$0] } }

    package func of(_ workload: WorkloadID) -> Route? { idByWorkload[workload].flatMap { byID[$0] } }

    func others(than route: Route, using volume: String) -> [Route] {
        byID.values.filter { $0.volumes.contains(volume) && $0.containerID != route.containerID }
    }

    package func routes(to node: NodeID) -> [Route] { byID.values.filter { $0.target == node } }

    /// What a reference means among the routes, by Docker's rule: full id, then name, then prefix.
    package func resolve(_ reference: String) -> Resolution {
        if let route = byID[reference] { return .exact(route) }
        let name = reference.hasPrefix("/") ? String(reference.dropFirst()) : reference
        if let route = named(name) { return .exact(route) }
        guard !reference.isEmpty, reference.utf8.count < 64 else { return .none }
        let found = byID.values.filter { $0.containerID.hasPrefix(reference) }
        return switch found.count {
        case 0: .none
        case 1: .prefix(found[0])
        default: .ambiguous
        }
    }

    package enum Resolution: Sendable, Hashable {
        case none
        /// By full id or by name.
        case exact(Route)
        /// By a prefix that is unique among the routes; an engine here may know another.
        case prefix(Route)
        case ambiguous
    }

    /// Adds or replaces a route, durably.
    package func put(_ route: Route) throws(FrontDoorError) {
        try journal.put(route)
        index(route)
    }

    /// Changes a route that is there: at once, and durably unless it throws.
    package func change(_ route: Route) throws(FrontDoorError) {
        guard byID[route.containerID] != nil else { return }
        index(route)
        try journal.put(route)
    }

    package func remove(_ containerID: String) throws(FrontDoorError) {
        guard let route = byID.removeValue(forKey: containerID) else { return }
        unindex(route)
        try journal.remove(containerID)
    }

    /// Holds a name for a create in progress; false when another create holds it.
    package func reserve(_ name: String) -> Bool { name.isEmpty || reserved.insert(name).inserted }

    /// Holds a name as soon as whoever holds it now lets go: then it is known whether a container has it.
    package func hold(_ name: String) async {
        while !reserve(name) {
            await withCheckedContinuation { waiting[name, default: []].append($0) }
        }
    }

    package func unreserve(_ name: String) {
        reserved.remove(name)
        for waiter in waiting.removeValue(forKey: name) ?? [] { waiter.resume() }
    }

    private func unindex(_ route: Route) {
        if idByName[route.name] == route.containerID { idByName[route.name] = nil }
        if idByWorkload[route.workload] == route.containerID { idByWorkload[route.workload] = nil }
    }

    private func index(_ route: Route) {
        if let old = byID[route.containerID] { unindex(old) }
        byID[route.containerID] = route
        idByWorkload[route.workload] = route.containerID
        if !route.name.isEmpty { idByName[route.name] = route.containerID }
    }
}
