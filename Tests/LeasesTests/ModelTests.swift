import Testing

@testable import Leases

@Suite("Nothing runs twice")
struct ModelTests {
    /// Visits every world that can come of `start`; the first unsound one, and how many were visited.
    private static func explore(
        _ start: World, horizon: UInt64, epochs: UInt64, flaw: World.Flaw? = nil
    ) -> (broken: World?, visited: Int) {
        var seen: Set<World> = [start]
        var frontier = [start]
        while let world = frontier.popLast() {
            guard world.isSound else { return (world, seen.count) }
            for next in world.next(horizon: horizon, epochs: epochs, flaw: flaw) where seen.insert(next).inserted {
                frontier.append(next)
            }
        }
        return (nil, seen.count)
    }

    @Test("However messages are delayed, lost or repeated, and whatever fails", arguments: [(2, 1, 6), (2, 2, 5), (3, 0, 5)])
    func holds(nodes: Int, faults: Int, horizon: UInt64) {
        let (broken, visited) = Self.explore(World(nodes: nodes, faults: faults), horizon: horizon, epochs: 3)
        #expect(broken == nil)
        print("\(visited) worlds of \(nodes) nodes and \(faults) faults")
    }

    @Test("Each rule is needed: without it, work runs twice", arguments: World.Flaw.allCases)
    func needed(flaw: World.Flaw) {
        let (broken, _) = Self.explore(World(nodes: 2, faults: 2), horizon: 7, epochs: 3, flaw: flaw)
        #expect(broken != nil)
    }
}
