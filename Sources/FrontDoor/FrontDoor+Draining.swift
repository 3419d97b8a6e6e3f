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

    private func clear(_ node: NodeID) async {
        let there = routes.routes(to: node).filter(holdsCapacity).sorted { $0.createdAt < $1.createdAt }
        let staying = reasonsToStay(there)
        var rows = there.map { route in
            DrainedWorkload(
                id: route.workload, name: route.name, origin: control.node,
                standing: staying[route.containerID] == nil ? .unseen : .stays,
                reason: staying[route.containerID] ?? "")
        }
        for index in rows.indices where rows[index].standing == .unseen {
            if let last = drainReports[node]?.rows.first(where: { $0.id == rows[index].id }) { rows[index] = last }
        }
        tell(rows, of: node)
        for route in there where staying[route.containerID] == nil {
            guard let index = rows.firstIndex(where: { $0.id == route.workload }), isDrained(node),
                routes[route.containerID]?.target == node, moveRests[route.containerID].map({ $0 <= now() }) ?? true
            else { continue }
            rows[index].standing = .moving
            rows[index].reason = ""
            tell(rows, of: node)
            if let reason = await moveOff(route) {
                rows[index].standing = .waits
                rows[index].reason = reason
                moveRests[route.containerID] = now() + Self.drainReportRest
            } else {
                rows.remove(at: index)
            }
            tell(rows, of: node)
        }
    }

    private func tell(_ rows: [DrainedWorkload], of node: NodeID) {
        if let last = drainReports[node], last.rows == rows, now() - last.at < Self.drainReportRest { return }
        drainReports[node] = DrainReport(rows: rows, at: now())
        control.report(rows, atDrained: node)
    }

    func holdsCapacity(_ route: Route) -> Bool {
        !["exited", "dead", "removing"].contains(lastStates[route.containerID])
    }

    /// Why those of some containers stay that do, by their ids.
    func reasonsToStay(_ all: [Route]) -> [String: String] { Self.reasonsToStay(all, reasonToStay) }

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

    private func reasonToStay(_ route: Route) -> String? {
        if let volume = route.volumes.first(where: { !route.anonymousVolumes.contains($0) }) {
            return "volume \(volume) is there"
        }
        return switch route.loss.kind {
        case .restart: nil
        case .hold:
            "it is no service that may be begun elsewhere (lighter.loss=hold): use `lighter move`, or remove it"
        case .rerun: "it is a job, which would begin again: let it end, or use `lighter move`"
        }
    }

    /// - Returns: why it was not moved; nil where it was.
    private func moveOff(_ route: Route) async -> String? {
        guard carrying[route.containerID] == nil, moving.insert(route.containerID).inserted else {
            return "it is being given another node just now"
        }
        defer { endMoving(route) }
        do {
            let asked = try createRequest(of: route)
            // Those that share something settle in one place.
            let keys = await sharingPlan(for: asked.spec, stays: false).keys.sorted()
            for key in keys { await routes.hold(key) }
            defer { for key in keys { routes.unreserve(key) } }
            let creation = try await creation(route, asked)
            let decision = Placement.decide(
                creation.request, snapshot: freshSnapshot, now: now(), fleetReachable: control.isConnected,
                refused: [route.target: "it is drained"], estimates: estimates, memory: &thresholds,
                policySource: creation.policySource)
            guard let target = decision.target else { return decision.reason }
            try await move(route, to: target, cause: .drain)
            return nil
        } catch let error as Stayed {
            return error.reason
        } catch {
            return "\(error)"
        }
    }
}

/// What the gateway was told last of a node that is drained.
struct DrainReport {
    var rows: [DrainedWorkload]
    /// Seconds since 1970.
    var at: Double
}
