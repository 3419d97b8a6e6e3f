internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Services of this device's leave nodes that are drained, one after the other, as if their user moved each.
extension FrontDoor {
    /// Seconds after which the gateway is told again what has not changed: it keeps that in memory only.
    private static let drainReportRest = 10.0

    /// Clears nodes that are drained until cancelled.
    func followDrains() async {
        while !Task.isCancelled {
            for target in routes.targets.union(drainReports.keys) where target != control.node && control.isConnected {
                guard let node = control.snapshot[target], node.drainedSince != nil else {
                    drainReports[target] = nil
                    continue
                }
                // What is at a lost node is not moved, but begun elsewhere.
                if node.state != .unreachable { await clear(target) }
            }
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }

    func isDrained(_ node: NodeID) -> Bool { control.snapshot[node]?.drainedSince != nil }

    private func isDrained(_ node: NodeID, withState: Bool) -> Bool {
        isDrained(node) && control.snapshot[node]?.drainsWithState == withState
    }

    private func clear(_ node: NodeID) async {
        let there = routes.routes(to: node).filter(holdsCapacity).sorted { $0.createdAt < $1.createdAt }
        let goesWhole = control.snapshot[node]?.drainsWithState ?? false
        if let last = drainReports[node], last.withState != goesWhole { forget(last, of: node) }
        let staying = reasonsToStay(there, withState: goesWhole)
        var rows = there.map { route in
            DrainedWorkload(
                id: route.workload, name: route.name, origin: control.node,
                standing: staying[route.containerID] == nil ? .unseen : .stays,
                reason: staying[route.containerID] ?? "")
        }
        for index in rows.indices where rows[index].standing == .unseen {
            if let last = drainReports[node]?.rows.first(where: { $0.id == rows[index].id }) { rows[index] = last }
        }
        tell(rows, of: node, withState: goesWhole)
        for route in there where staying[route.containerID] == nil {
            guard let index = rows.firstIndex(where: { $0.id == route.workload }),
                isDrained(node, withState: goesWhole),
                routes[route.containerID]?.target == node, moveRests[route.containerID].map({ $0 <= now() }) ?? true
            else { continue }
            rows[index].standing = .moving
            rows[index].reason = ""
            tell(rows, of: node, withState: goesWhole)
            if let reason = await goesWhole && !route.removesItself ? carryOff(route) : moveOff(route) {
                rows[index].standing = .waits
                rows[index].reason = reason
                moveRests[route.containerID] = now() + Self.drainReportRest
            } else {
                rows.remove(at: index)
            }
            tell(rows, of: node, withState: goesWhole)
        }
    }

    /// What could not leave by a drain in another mode is tried anew at once.
    private func forget(_ report: DrainReport, of node: NodeID) {
        let waiting = Set(report.rows.filter { $0.standing == .waits }.map(\.id))
        for route in routes.routes(to: node) where waiting.contains(route.workload) {
            moveRests[route.containerID] = nil
        }
        drainReports[node] = nil
    }

    private func tell(_ rows: [DrainedWorkload], of node: NodeID, withState: Bool) {
        if let last = drainReports[node], last.rows == rows, now() - last.at < Self.drainReportRest { return }
        drainReports[node] = DrainReport(rows: rows, withState: withState, at: now())
        control.report(rows, atDrained: node, withState: withState)
    }

    func holdsCapacity(_ route: Route) -> Bool {
        !["exited", "dead", "removing"].contains(lastStates[route.containerID])
    }

    /// Why those of some containers stay that do, by their ids.
    /// - Parameter withState: the others take along what they wrote.
    func reasonsToStay(_ all: [Route], withState: Bool) -> [String: String] {
        Self.reasonsToStay(all) { reasonToStay($0, withState) }
    }

    /// - Parameter own: why one stays whatever others do; nil where nothing stands against its move.
    static func reasonsToStay(_ all: [Route], _ own: (Route) -> String?) -> [String: String] {
        var reasons: [String: String] = [:]
        for route in all { reasons[route.containerID] = own(route) }
        // Who shares a network with one that stays would not reach it from elsewhere.
        var hasMore = true
        while hasMore {
            hasMore = false
            for route in all where reasons[route.containerID] == nil {
                let anchor = all.first { other in
                    reasons[other.containerID] != nil && !Set(other.networks).isDisjoint(with: route.networks)
                }
                guard let anchor else { continue }
                reasons[route.containerID] = "it shares a network with \(anchor.name), which stays"
                hasMore = true
            }
        }
        return reasons
    }

    private func reasonToStay(_ route: Route, _ withState: Bool) -> String? {
        let named = route.volumes.filter { !route.anonymousVolumes.contains($0) }
        for volume in named {
            if !withState { return "volume \(volume) is there: with `--with-state` it goes along" }
            if route.removesItself {
                return "volume \(volume) is there, and the container removes itself when it stops (--rm)"
            }
            let others = routes.others(than: route, using: volume).map(\.name).sorted().joined(separator: ", ")
            guard others.isEmpty else {
                return "volume \(volume) is used by \(others), too: it cannot be in two places"
            }
        }
        return switch withState ? kindWithState(route) : route.loss.kind {
        case .restart: nil
        case .hold:
            "it is no service that may be begun elsewhere (lighter.loss=hold): use `lighter move`, or remove it"
        case .rerun: "it is a job, which would begin again: let it end, or use `lighter move`"
        }
    }

    /// What its labels and its restart policy make of it, where its volumes would hold it only because they stayed behind.
    private func kindWithState(_ route: Route) -> LossPolicy.Kind {
        guard let spec = try? createRequest(of: route).spec else { return route.loss.kind }
        return (try? LossPolicy(labels: spec.labels, restartPolicy: spec.host.restartPolicy))?.kind ?? route.loss.kind
    }

    /// - Returns: why it was not moved; nil where it was.
    private func moveOff(_ route: Route) async -> String? {
        guard carrying[route.containerID] == nil, moving.insert(route.containerID).inserted else {
            return "it is being given another node just now"
        }
        defer { endMoving(route) }
        return await reasonAgainst {
            let asked = try self.createRequest(of: route)
            // Those that share something settle in one place.
            let keys = await self.sharingPlan(for: asked.spec, stays: false).keys.sorted()
            for key in keys { await self.routes.hold(key) }
            defer { for key in keys { self.routes.unreserve(key) } }
            try await self.move(route, to: try self.newPlace(try await self.creation(route, asked)), cause: .drain)
        }
    }

    /// The same with all that it wrote. What shares something with it is not held up for as long as that travels.
    private func carryOff(_ route: Route) async -> String? {
        await reasonAgainst {
            let asked = try self.createRequest(of: route)
            let luggage = Luggage(try await self.inspected(route), route.workload, self.presentation.name)
            let target = try self.newPlace(try await self.creation(route, asked, carrying: luggage))
            _ = try await self.moveWithState(route, to: target, cause: .drain)
        }
    }

    private func newPlace(_ creation: Creation) throws -> NodeID {
        let drained = creation.replaces.map { [$0.target: "it is drained"] } ?? [:]
        let decision = Placement.decide(
            creation.request, snapshot: freshSnapshot, now: now(), fleetReachable: control.isConnected,
            refused: drained, estimates: estimates, memory: &thresholds, policySource: creation.policySource)
        guard let target = decision.target else { throw Stayed(reason: decision.reason) }
        return target
    }

    private func reasonAgainst(_ move: @Sendable @NodeLoop () async throws -> Void) async -> String? {
        do {
            try await move()
            return nil
        } catch {
            return stayed(error).reason
        }
    }
}

extension MoveCause {
    /// Why the move names its target, as a decision tells it.
    func reason(from node: NodeID) -> String {
        switch self {
        case .user: "its user moved it there"
        case .drain: "a drain of \(node) moved it there"
        case .homecoming: "it was there before, and that node is back"
        }
    }
}

/// What the gateway was told last of a node that is drained.
struct DrainReport {
    var rows: [DrainedWorkload]
    /// How it was drained then.
    var withState: Bool
    /// Seconds since 1970.
    var at: Double
}
