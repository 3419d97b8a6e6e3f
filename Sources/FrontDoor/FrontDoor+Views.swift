internal import DockerAPI
internal import Engine
package import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Lists and inspections from what the nodes have pushed.
extension FrontDoor {
    /// Seconds between a touch and the reading that follows it: what happens to a container often happens several times.
    private static let settling = 0.1
    /// How often what nodes list is compared with what is shown of them.
    private static let comparing = Duration.seconds(45)
    /// Containers that are read at once.
    private static let readingWidth = 8

    func view(of node: NodeID) -> TargetView {
        if let known = views[node] { return known }
        let made = TargetView()
        views[node] = made
        return made
    }

    /// Whether a node may be believed: it is heard, and the gateway hears it too, as far as that can be asked.
    private func isInSight(_ node: NodeID) -> Bool {
        guard control.isConnected, let state = control.snapshot[node]?.state else { return true }
        return state == .ready
    }

    /// What is about to happen to a container, or has, makes what is known of it old.
    func touch(_ route: Route) {
        view(of: route.target).touch(route.containerID)
        refresh(route.target)
    }

    /// Takes in what a node's engine says of a container.
    func hear(_ event: JSON, of route: Route) {
        if event["Action"] == "die" { hearEnd(of: route) } else { touch(route) }
    }

    /// A node's engine says that a container has ended.
    func hearEnd(of route: Route) {
        view(of: route.target).end(route.containerID)
        refresh(route.target)
    }

    /// The gateway has heard of an end before its engine has told it. One at which something is still to be done here is over
    /// only when that is.
    package func hasEnded(_ end: WorkloadEnd) {
        guard let route = routes.of(end.workload), route.epoch == end.epoch, !route.wantsPreparing,
            !moving.contains(route.containerID), view(of: route.target).foretell(end, of: route.containerID)
        else { return }
        lastStates[route.containerID] = "exited"
        start { [self] in
            try? await Task.sleep(for: foretelling)
            if view(of: route.target).isAwaited(route.containerID) { touch(route) }
        }
    }

    /// Everything that a list of a node's containers needs; nil where it has to be asked.
    func listed(at node: NodeID, _ version: String) -> [JSON]? {
        let view = view(of: node)
        guard isInSight(node), view.isHeard else { return nil }
        guard view.version == version else {
            view.speak(version)
            refresh(node)
            return nil
        }
        var found: [JSON] = []
        let now = now()
        for route in routes.routes(to: node) {
            guard let entry = view.listed(route.containerID, now: now) else { return nil }
            found.append(entry)
        }
        return found
    }

    func inspected(_ route: Route, _ version: String) -> JSON? {
        let view = view(of: route.target)
        guard isInSight(route.target), view.version == version else { return nil }
        return view.inspected(route.containerID)
    }

    /// Reads what is stale, once things have settled.
    func refresh(_ node: NodeID) {
        let view = view(of: node)
        guard view.beginReading() else { return }
        start { [self] in
            defer { view.endReading() }
            while view.isHeard {
                do { try await Task.sleep(for: .seconds(Self.settling)) } catch { return }
                let stale = routes.routes(to: node).filter {
                    !view.isKnown($0.containerID) && !moving.contains($0.containerID)
                }
                guard !stale.isEmpty else { return }
                do {
                    try await read(stale, at: node, into: view)
                } catch {
                    logger.debug("a node's view was not read", metadata: ["node": "\(node)", "error": "\(error)"])
                    return
                }
            }
        }
    }

    /// A net under the events: now and then what a node lists is compared with what is shown of it, and what differs is read anew.
    func compareViews() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.comparing) } catch { return }
            await withDiscardingTaskGroup { group in
                for node in routes.targets { group.addTask { await self.compare(node) } }
            }
        }
    }

    func compare(_ node: NodeID) async {
        let view = view(of: node)
        let ids = routes.routes(to: node).map(\.containerID)
        let before = view.moment(of: ids)
        let client = DockerClient(dialer: nodeDialer(node, purpose: "view"), maximumIdle: 0)
        guard view.isHeard,
            let answer = try? await client.request(
                "GET", "/containers/json?all=1", timeout: patience(Self.listPatience, for: node)),
            answer.status == 200, let list = (try? JSON.parse(answer.body))?.arrayValue
        else { return }
        let after = view.moment(of: ids)
        for container in list {
            // Where something has happened meanwhile, it is being read.
            guard let id = container["Id"]?.stringValue, let moment = before[id], after[id] == moment,
                let route = routes[id], route.target == node, let shown = view.state(of: id),
                let state = container["State"]?.stringValue, shown != state
            else { continue }
            logger.notice(
                "what was shown of a container was old",
                metadata: ["container": "\(route.name)", "node": "\(node)", "shown": "\(shown)", "state": "\(state)"])
            lastStates[id] = state
            touch(route)
            if state == "exited" { start { await self.containerEnded(route, exitCode: nil) } }
        }
    }

    private func read(_ stale: [Route], at node: NodeID, into view: TargetView) async throws {
        let moment = view.moment(of: stale.map(\.containerID))
        var query = Query()
        query.set("all", "1")
        if stale.count <= Self.readingWidth {
            var filters = DockerFilters()
            for route in stale { filters.add("id", route.containerID) }
            query.setFilters(filters)
        }
        let version = view.version
        let client = DockerClient(dialer: nodeDialer(node, purpose: "view"), maximumIdle: 0)
        let answer = try await client.request(
            "GET", query.target("\(version)/containers/json"), timeout: patience(Self.listPatience, for: node))
        guard answer.status == 200, let list = try JSON.parse(answer.body).arrayValue else {
            throw FrontDoorError(.unreachable, Self.message(of: answer))
        }
        let lead = answer.headers.first("Date").flatMap(HTTPDate.seconds).map { $0 - now() } ?? 0
        let listed = Dictionary(list.map { ($0["Id"]?.stringValue ?? "", $0) }) { first, _ in first }
        for (id, entry) in listed { if routes[id] != nil { lastStates[id] = entry["State"]?.stringValue } }
        try await withThrowingTaskGroup(of: (String, [UInt8]?).self) { group in
            var waiting = stale[...]
            for route in waiting.prefix(Self.readingWidth) {
                group.addTask { (route.containerID, try await self.inspection(route, version)) }
            }
            waiting = waiting.dropFirst(Self.readingWidth)
            while let (id, inspected) = try await group.next() {
                if let next = waiting.popFirst() {
                    group.addTask { (next.containerID, try await self.inspection(next, version)) }
                }
                guard let inspected, let entry = listed[id], view.version == version else {
                    // Gone, or going: the route's own watch finds out.
                    if inspected == nil, let route = routes[id] { await verify(route) }
                    continue
                }
                view.put(
                    id, listed: Array(entry.text.utf8), inspected: inspected, clockLead: lead, as: moment[id] ?? 0)
            }
        }
    }

    private func inspection(_ route: Route, _ version: String) async throws -> [UInt8]? {
        let client = DockerClient(
            dialer: dialer(to: routes[route.containerID] ?? route, purpose: "view"), maximumIdle: 0)
        let answer = try await client.request(
            "GET", "\(version)/containers/\(route.containerID)/json",
            timeout: patience(Self.listPatience, for: route.target))
        return answer.status == 200 ? Array(answer.body.readableBytesView) : nil
    }
}

/// The `Date` of an HTTP answer.
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970 of `Tue, 24 Nov 2026 19:30:16 GMT`; nil for anything else.
    static func seconds(_ text: String) -> Double? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])),
            parts[1].utf8.count == 2
        else { return nil }
        let digits = month + 1 < 10 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp.seconds("\(parts[3])-\(digits)-\(parts[1])T\(parts[4])Z")
    }
}
