import Testing

@testable import Leases

@Suite("Nothing runs twice")
struct ModelTests {
    /// Visits every world that can come of `start`; the first unsound one, and how many were visited.
    private static func explore(
        _ start: World, horizon: UInt64, flaw: World.Flaw? = nil
    ) -> (broken: World?, visited: Int) {
        var seen: Set<World> = [start]
        var frontier = [start]
        while let world = frontier.popLast() {
            guard world.isSound else { return (world, seen.count) }
            for next in world.next(horizon: horizon, epochs: 2, flaw: flaw) where seen.insert(next).inserted {
                frontier.append(next)
            }
        }
        return (nil, seen.count)
    }

    @Test(
        "However messages are delayed, lost or repeated, and whatever fails",
        arguments: [(2, 0, 5), (2, 1, 3), (3, 0, 3)])
    func holds(nodes: Int, faults: Int, horizon: UInt64) {
        let (broken, visited) = Self.explore(World(nodes: nodes, faults: faults), horizon: horizon)
        #expect(broken == nil)
        #expect(visited > 10_000, "a model in which little happens proves little")
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
