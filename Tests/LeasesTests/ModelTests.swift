import Testing

@testable import Leases

@Suite("Nothing runs twice")
struct ModelTests {
    /// Visits every world that can come of `start`; the first unsound one, and in how many the work has been given another node.
    private static func explore(
        _ start: World, horizon: UInt64, flaw: World.Flaw? = nil
    ) -> (broken: World?, moved: Int) {
        var seen: Set<World> = [start]
        var frontier = [start]
        var moved = 0
        while let world = frontier.popLast() {
            guard world.isSound else { return (world, moved) }
            if world.epoch > start.epoch { moved += 1 }
            for next in world.next(horizon: horizon, epochs: 2, flaw: flaw) where seen.insert(next).inserted {
                frontier.append(next)
            }
        }
        return (nil, moved)
    }

    @Test(
        "However messages are delayed, lost or repeated, and whatever fails",
        arguments: [(2, 0, 5), (2, 1, 4), (3, 0, 4)])
    func holds(nodes: Int, faults: Int, horizon: UInt64) {
        let (broken, moved) = Self.explore(World(nodes: nodes, faults: faults), horizon: horizon)
        #expect(broken == nil)
        #expect(moved > 40_000, "where nothing is given another node, nothing can run twice")
    }

    @Test("Each rule is needed: without it, work runs twice", arguments: World.Flaw.allCases)
    func needed(flaw: World.Flaw) {
        let (faults, horizon): (Int, UInt64) =
            switch flaw {
            case .forgetsGrants: (1, 4)
            case .engineStartsByItself: (2, 5)
            default: (0, 5)
            }
        let (broken, _) = Self.explore(World(nodes: 2, faults: faults), horizon: horizon, flaw: flaw)
        #expect(broken != nil)
    }
}
