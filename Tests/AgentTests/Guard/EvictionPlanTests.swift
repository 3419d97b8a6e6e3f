import Images
import Testing

@testable import Agent

@Suite("Which images a node gives up")
struct EvictionPlanTests {
    private func digest(_ digit: Character) throws -> LayerDigest {
        try #require(LayerDigest("sha256:" + String(repeating: digit, count: 64)))
    }

    /// Images by one digit each: its layers' digits, when it was used (nil for the owner's), and whether it may go.
    private func plan(
        _ images: [(Character, String, Double?, Bool)], size: Int64 = 100
    ) throws -> EvictionPlan {
        var plan = EvictionPlan(images: [], sizes: [:])
        for (id, layers, usedAt, mayGo) in images {
            let layers = Set(try layers.map { try digest($0) })
            plan.images.append(.init(id: try digest(id), layers: layers, usedAt: usedAt, mayGo: mayGo))
            for layer in layers { plan.sizes[layer] = size }
        }
        return plan
    }

    @Test("Nothing goes within the bound, or without one")
    func within() throws {
        let plan = try plan([("a", "1", 1, true), ("b", "2", 2, true)])
        #expect(plan.held == 200)
        #expect(plan.evictions(bound: 200, shortage: 0).isEmpty)
        #expect(plan.evictions(bound: nil, shortage: 0).isEmpty)
    }

    @Test("The least recently used goes first, and no more than makes room")
    func order() throws {
        let plan = try plan([("a", "1", 3, true), ("b", "2", 1, true), ("c", "3", 2, true)])
        #expect(plan.evictions(bound: 299, shortage: 0) == [try digest("b")])
        #expect(plan.evictions(bound: 150, shortage: 0) == [try digest("b"), try digest("c")])
        #expect(plan.evictions(bound: nil, shortage: 1) == [try digest("b")])
        #expect(plan.evictions(bound: 0, shortage: 0).count == 3)
    }

    @Test("Once the bound is passed, a tenth of it is made free besides")
    func reserve() throws {
        let plan = try plan([("a", "1", 1, true), ("b", "2", 2, true), ("c", "3", 3, true)])
        #expect(plan.evictions(bound: 200, shortage: 0).count == 2)
    }

    @Test("What may not go stays, and the next one goes in its place")
    func kept() throws {
        let plan = try plan([("a", "1", 1, false), ("b", "2", 2, true)])
        #expect(plan.evictions(bound: 150, shortage: 0) == [try digest("b")])
        #expect(try self.plan([("a", "1", 1, false)]).evictions(bound: 0, shortage: 0).isEmpty)
    }

    @Test("Layers that the owner's images have are not Lighter's, and an image that gives nothing back stays")
    func shared() throws {
        let plan = try plan([
            ("0", "1", nil, false), ("a", "12", 1, true), ("b", "1", 0, true), ("c", "3", 2, false),
            ("d", "3", 0, true),
        ])
        #expect(plan.held == 200)
        #expect(plan.evictions(bound: 100, shortage: 0) == [try digest("a")])
    }

    @Test("Two that share a layer give it back together")
    func together() throws {
        let plan = try plan([("a", "1", 1, true), ("b", "1", 2, true), ("c", "2", 3, true)])
        #expect(plan.evictions(bound: 150, shortage: 0) == [try digest("a"), try digest("b")])
    }
}
