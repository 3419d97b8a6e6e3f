import Fleet
import Testing

@testable import Placement

/// A generator whose draws can be repeated: a failure names its seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 31)) &* 0x9e37_79b9_7f4a_7c15
    }
}

@Suite("Properties of every decision")
struct PropertyTests {
    /// Any fleet, any request.
    private func drawn(_ seed: UInt64) throws -> Fixture {
        var draw = SeededGenerator(seed: seed)
        func part() -> Double { Double.random(in: 0...1, using: &draw) }
        func pick<T>(_ items: [T]) -> T { items[Int.random(in: items.indices, using: &draw)] }
        var fixture = try Fixture(pick(Policy.Kind.allCases))
        func shake(_ node: inout Node) {
            node.state = pick([.ready, .ready, .ready, .ready, .suspect, .unreachable, .engineDown])
            node.acceptsWork = part() > 0.1
            node.measures.cpu = pick([0, part(), 1])
            node.measures.memory = pick([0, part(), 1])
            node.measures.coreSpeed = pick([0, 0.5, 1, 3])
            node.measures.bandwidth = pick([0, 1e5, 1e9])
            node.measures.gatewayRTT = pick([0, 0.001, 0.3])
            node.measures.diskFree = pick([.zero, .gibibytes(20), .mebibytes(100)])
            node.capacity = Resources(cpus: pick([0, 0.5, 4, 64]), memory: pick([.zero, .gibibytes(4)]))
            node.reserved = Resources(cpus: pick([0, 2, 100]), memory: pick([.zero, .gibibytes(3)]))
            node.tags = pick([[], ["gpu"], ["gpu", "cloud"]])
        }
        shake(&fixture.edge)
        shake(&fixture.cloud1)
        shake(&fixture.cloud2)
        for index in 0..<Int.random(in: 0...30, using: &draw) {
            var node = try Fixture.node("n\(index)", cpus: 4)
            shake(&node)
            fixture.others.append(node)
        }
        fixture.request.id = WorkloadID.random()
        fixture.request.policy.tags = pick([[], [], ["gpu"]])
        fixture.request.policy.target = pick([nil, nil, nil, fixture.edge.id, fixture.cloud1.id, try NodeID("nowhere")])
        fixture.request.ties = pick([[], [], [], ["network mynet"]])
        fixture.request.resources = pick([.none, Resources(cpus: 2, memory: .gibibytes(1))])
        fixture.request.imageSize = pick([.zero, .mebibytes(5), .gibibytes(3)])
        fixture.fleetReachable = part() > 0.1
        if part() > 0.7 { fixture.refused[fixture.cloud1.id] = "full" }
        if part() > 0.9 { fixture.refused[fixture.edge.id] = "full" }
        if part() > 0.5 { fixture.learn(part() * 100) }
        return fixture
    }

    @Test(
        "The origin is always among the candidates, and the target never among the refused", arguments: UInt64(1)...1000
    )
    func sound(seed: UInt64) throws {
        var fixture = try drawn(seed)
        let decision = fixture.decide()
        #expect(decision.candidate("edge") != nil)
        #expect(decision.candidates.count <= Placement.candidatesShown)
        #expect(Set(decision.candidates.map(\.node)).count == decision.candidates.count)
        for candidate in decision.candidates {
            #expect((candidate.score == nil) == !candidate.refusals.isEmpty)
            #expect(candidate.score?.isFinite != false)
        }
        guard let target = decision.target else {
            #expect(decision.candidates.allSatisfy { !$0.refusals.isEmpty } || fixture.request.policy.target != nil)
            return
        }
        #expect(fixture.refused[target] == nil)
        #expect(decision.candidates.first?.node == target)
        #expect(decision.candidates.first?.refusals == [])
        #expect(fixture.request.policy.target == nil || fixture.request.policy.target == target)
        if target != fixture.edge.id {
            #expect(fixture.fleetReachable)
            #expect(fixture.request.ties.isEmpty)
            #expect(fixture.snapshot[target]?.state == .ready)
            #expect(fixture.snapshot[target]?.acceptsWork == true)
        }
        #expect(!decision.explanation().isEmpty)
    }

    @Test("Equal arguments give equal decisions, whatever the order of nodes", arguments: UInt64(1)...300)
    func deterministic(seed: UInt64) throws {
        var fixture = try drawn(seed)
        let shuffled = FleetSnapshot(revision: 7, nodes: fixture.snapshot.nodes.shuffled())
        var memory = fixture.memory
        let other = Placement.decide(
            fixture.request, snapshot: shuffled, now: 1000, fleetReachable: fixture.fleetReachable,
            refused: fixture.refused, estimates: fixture.estimates, memory: &memory)
        #expect(fixture.decide() == other)
    }

    @Test("More load, reservations, delay or containers never improve a node's score", arguments: UInt64(1)...500)
    func monotonic(seed: UInt64) throws {
        let fixture = try drawn(seed)
        var draw = SeededGenerator(seed: seed &+ 77)
        let before = fixture.cloud1
        let question = Question(
            fixture.request, snapshot: fixture.snapshot, refused: [:], estimates: fixture.estimates, now: 0)
        func worse(_ change: (inout Node) -> Void) {
            var node = before
            change(&node)
            #expect(CompletionForecast(node, question).total >= CompletionForecast(before, question).total)
            #expect(LoadScore(node, question).total >= LoadScore(before, question).total)
        }
        worse { $0.measures.cpu = min(1, $0.measures.cpu + Double.random(in: 0...1, using: &draw)) }
        worse { $0.measures.memory = min(1, $0.measures.memory + 0.3) }
        worse { $0.reserved.cpus += 1 }
        worse { $0.measures.runningContainers += 5 }
        if before.measures.gatewayRTT > 0 { worse { $0.measures.gatewayRTT += 0.05 } }
    }

    @Test("Equal nodes share the work, the larger and idler one more of it")
    func spread() throws {
        var fixture = try Fixture(.remote)
        var counts: [NodeID: Int] = [:]
        func run() {
            counts = [:]
            for _ in 0..<2000 {
                fixture.request.id = WorkloadID.random()
                if let target = fixture.decide().target { counts[target, default: 0] += 1 }
            }
        }
        run()
        #expect((850...1150).contains(counts[fixture.cloud1.id, default: 0]), "\(counts)")
        fixture.cloud2.capacity.cpus = 24
        run()
        #expect((380...620).contains(counts[fixture.cloud1.id, default: 0]), "\(counts)")
    }

    @Test("A fleet of thousands does not make a decision of megabytes")
    func large() throws {
        var fixture = try Fixture(.remote)
        for index in 0..<3000 {
            fixture.others.append(try Fixture.node("n\(index)", cpus: 4, acceptsWork: index % 2 == 0))
        }
        let decision = fixture.decide()
        #expect(decision.target != fixture.edge.id)
        #expect(decision.candidates.count == Placement.candidatesShown)
    }
}
