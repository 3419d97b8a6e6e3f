import Engine
import Fleet
import Testing

@testable import FrontDoor

@Suite("Containers at a node that is drained", .timeLimit(.minutes(1)))
struct DrainTests {
    private static let ids = (0..<4).map { String($0).repeated(64) }

    @Test(
        "Services leave; what has a volume that stays, is held or is a job stays with a reason, and so does who talks to it"
    )
    func reasons() async throws {
        try await Rig.with(engine: false) { rig in try await rig.checkReasons(Self.ids) }
    }

    @Test("The gateway is told why something stays; of what does not run, nothing")
    func told() async throws {
        try await Rig.with(engine: false) { rig in
            try await rig.drainedWithTwo(Self.ids)
            while rig.plane.drainReports.isEmpty { await Task.yield() }
            #expect(rig.plane.drainReports[0].map(\.name) == ["db"])
            #expect(rig.plane.drainReports[0].map(\.standing) == [.stays])
        }
    }

    @Test("What was said of a drain in another mode is not said again of this one")
    func modes() async throws {
        try await Rig.with(engine: false) { rig in
            try await rig.drainedWithVolume(Self.ids[0])
            while rig.plane.drainReports.isEmpty { await Task.yield() }
            rig.plane.snapshot.nodes[0].drainsWithState = true
            while rig.plane.drainReports.count < 4 { await Task.yield() }
            #expect(
                rig.plane.drainReports.prefix(4).map { $0.map(\.standing) }
                    == [[.stays], [.unseen], [.moving], [.waits]])
        }
    }
}

extension Rig {
    @NodeLoop
    fileprivate func route(_ id: String, _ name: String, _ kind: LossPolicy.Kind) throws -> Route {
        try addRoute(id, name)
        guard var route = routes[id] else { throw NotThere() }
        route.loss.kind = kind
        return route
    }

    private struct NotThere: Error {}

    @NodeLoop
    fileprivate func checkReasons(_ ids: [String]) throws {
        var (web, api) = (try route(ids[0], "web", .restart), try route(ids[1], "api", .restart))
        var (db, job) = (try route(ids[2], "db", .restart), try route(ids[3], "job", .rerun))
        #expect(door.reasonsToStay([web, api], withState: false).isEmpty)
        (db.volumes, db.networks) = (["data"], ["n1"])
        (api.networks, web.networks) = (["n1", "n2"], ["n2"])
        job.networks = ["n9"]
        let reasons = door.reasonsToStay([web, api, db, job], withState: false)
        #expect(reasons[ids[2]]?.hasPrefix("volume data is there") ?? false)
        #expect(reasons[ids[3]]?.hasPrefix("it is a job") ?? false)
        #expect(reasons[ids[1]] == "it shares a network with db, which stays")
        #expect(reasons[ids[0]] == "it shares a network with api, which stays")
        #expect(Set(door.reasonsToStay([web, api, db, job], withState: true).keys) == [ids[3]])
        db.removesItself = true
        #expect(door.reasonsToStay([db], withState: true)[ids[2]]?.contains("--rm") ?? false)
        db.removesItself = false
        var other = web
        other.volumes = ["data"]
        try routes.put(other)
        #expect(door.reasonsToStay([db], withState: true)[ids[2]]?.contains("is used by web, too") ?? false)
        try routes.put(web)
        db.volumes = ["anonymous"]
        db.anonymousVolumes = ["anonymous"]
        #expect(door.reasonsToStay([web, api, db], withState: false).isEmpty)
        db.loss.kind = .hold
        #expect(door.reasonsToStay([db], withState: false)[ids[2]]?.contains("lighter.loss=hold") ?? false)
    }

    @NodeLoop
    fileprivate func drainedWithTwo(_ ids: [String]) throws {
        try routes.put(try route(ids[0], "db", .hold))
        try routes.put(try route(ids[1], "old", .hold))
        door.lastStates[ids[1]] = "exited"
        try drain()
    }

    /// It may leave with its state; what it was created with is not known, so that it does not.
    @NodeLoop
    fileprivate func drainedWithVolume(_ id: String) throws {
        var db = try route(id, "db", .restart)
        db.volumes = ["data"]
        try routes.put(db)
        try drain()
    }

    private func drain() throws {
        var cloud = Node(id: try NodeID("cloud1"))
        cloud.drainedSince = 1
        plane.snapshot = FleetSnapshot(nodes: [cloud])
    }
}
