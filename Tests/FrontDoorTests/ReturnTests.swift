import Engine
import Fleet
import Testing

@testable import FrontDoor

@Suite("Containers whose node is back", .timeLimit(.minutes(1)))
struct ReturnTests {
    private static let ids = (0..<3).map { String($0).repeated(64) }

    @Test("A service goes back where all do that it shares networks with; a job stays")
    func company() async throws {
        try await Rig.with(engine: false) { rig in try await rig.checkCompany(Self.ids) }
    }

    @Test("A node that was lost often has to be well for longer")
    func patience() async throws {
        try await Rig.with(engine: false) { rig in try await rig.checkPatience() }
    }
}

extension Rig {
    @NodeLoop
    fileprivate func checkCompany(_ ids: [String]) throws {
        func put(_ index: Int, _ networks: [String], original: String?, _ kind: LossPolicy.Kind = .restart) throws
            -> Route
        {
            try addRoute(ids[index], "c\(index)")
            var route = try #require(routes[ids[index]])
            route.networks = networks
            route.original = try original.map { try NodeID($0) }
            route.loss.kind = kind
            try routes.put(route)
            return route
        }
        let web = try put(0, ["n1"], original: "home")
        #expect(door.goesBack(web))
        let api = try put(1, ["n1", "n2"], original: "home")
        #expect(door.goesBack(web) && door.goesBack(api))
        _ = try put(2, ["n2"], original: nil)
        #expect(!door.goesBack(web) && !door.goesBack(api))
        door.lastStates[ids[2]] = "exited"
        #expect(door.goesBack(web))
        #expect(!door.goesBack(try put(0, [], original: "home", .rerun)))
    }

    @NodeLoop
    fileprivate func checkPatience() throws {
        var node = Node(id: try NodeID("home"))
        let least = door.returnPatience(for: node)
        #expect(least == 5)
        node.losses = RecentLosses(counted: 3, at: door.now())
        #expect(abs(door.returnPatience(for: node) - 4 * least) < 0.1)
    }
}
