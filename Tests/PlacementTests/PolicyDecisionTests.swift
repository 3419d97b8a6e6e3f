import Fleet
import Testing

@testable import Placement

@Suite("Policies")
struct PolicyDecisionTests {
    @Test("Local stays on the origin, whatever the others have")
    func local() throws {
        var fixture = try Fixture(.local)
        fixture.edge.measures.cpu = 1
        fixture.fleetReachable = false
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.isEmpty)
        #expect((decision.snapshotRevision, decision.decidedAt) == (7, 1000))
    }

    @Test("Remote takes the one with more room")
    func remote() throws {
        var fixture = try Fixture(.remote)
        fixture.cloud1.measures.cpu = 0.9
        #expect(fixture.decide().target == fixture.cloud2.id)
        (fixture.cloud1.measures.cpu, fixture.cloud2.measures.memory) = (0.1, 0.9)
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("Remote counts what is reserved before its load is seen")
    func reserved() throws {
        var fixture = try Fixture(.remote)
        fixture.cloud1.reserved.cpus = 7
        #expect(fixture.decide().target == fixture.cloud2.id)
    }

    @Test("Remote prefers the node that has the image")
    func remoteImage() throws {
        var fixture = try Fixture(.remote)
        fixture.request.imageSize = .gibibytes(1)
        fixture.estimates.note(image: fixture.request.imageID, at: fixture.cloud2.id)
        #expect(fixture.decide().target == fixture.cloud2.id)
    }

    @Test(
        "A node that was lost lately is weighed down, less as time passes, and that is shown with its number",
        arguments: [Policy.Kind.remote, .completion])
    func losses(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.edge.measures.cpu = 1
        fixture.learn(20)
        // Without its losses it would be chosen.
        fixture.cloud2.measures.cpu = 0.2
        fixture.cloud2.measures.gatewayRTT = 0.06
        fixture.cloud2.measures.coreSpeed = 0.8
        #expect(fixture.decide().target == fixture.cloud1.id)
        fixture.cloud1.losses = RecentLosses(counted: 4, at: 1000)
        let decision = fixture.decide()
        #expect(decision.target == fixture.cloud2.id)
        #expect(decision.term("lost lately", of: "cloud1") == 4)
        #expect(decision.term("lost lately", of: "cloud2") == nil)
        #expect(decision.explanation().contains("lost lately"))
        fixture.cloud1.losses = RecentLosses(counted: 4, at: 1000 - 10 * RecentLosses.halfLife)
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("What the origin has lost of its links says nothing of its own engine")
    func lossesOfTheOrigin() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(1)
        let before = fixture.decide()
        fixture.edge.losses = RecentLosses(counted: 9, at: 1000)
        #expect(fixture.decide() == before)
    }

    @Test("Tags choose among the others")
    func tags() throws {
        var fixture = try Fixture(.remote)
        fixture.cloud1.measures.cpu = 0.9
        fixture.request.policy.tags = ["gpu"]
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("Remote without anyone who fits runs on the origin and warns why, in three lines at most")
    func remoteLastResort() throws {
        var fixture = try Fixture(.remote)
        fixture.request.policy.tags = ["fpga"]
        for index in 0..<5 { fixture.others.append(try Fixture.node("extra\(index)", cpus: 2)) }
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.count == 3)
        #expect(decision.warnings[0].contains("runs on edge"))
        #expect(decision.warnings[0].contains("cloud1: it lacks the tag fpga"))
        #expect(decision.warnings[2].contains("and 4 more nodes"))
    }

    @Test("Tied work stays; with remote the user is told what ties it", arguments: Policy.Kind.allCases)
    func tied(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.edge.measures.cpu = 1
        fixture.request.ties = ["bind mount /data", "published port 80/tcp"]
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.count == (kind == .remote ? 1 : 0))
        if kind != .local { #expect(decision.reason.contains("bind mount /data and published port 80/tcp")) }
    }

    @Test(
        "An unreachable fleet keeps the work at home with a warning",
        arguments: [Policy.Kind.remote, .threshold, .completion])
    func unreachable(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.edge.measures.cpu = 1
        fixture.learn(100)
        fixture.fleetReachable = false
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings == ["runs on edge: the fleet cannot be reached"])
    }

    @Test("An empty snapshot keeps the work at home with a warning", arguments: [Policy.Kind.remote, .completion])
    func empty(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.learn(100)
        let decision = Placement.decide(
            fixture.request, snapshot: FleetSnapshot(), now: 0, estimates: fixture.estimates, memory: &fixture.memory)
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.count == 1)
        #expect(decision.candidates.map(\.node) == [fixture.edge.id])
    }

    @Test("A named node gets the work under any policy", arguments: Policy.Kind.allCases)
    func explicit(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.request.policy.target = fixture.cloud2.id
        #expect(fixture.decide().target == fixture.cloud2.id)
        fixture.request.policy.target = fixture.edge.id
        #expect(fixture.decide().target == fixture.edge.id)
    }

    @Test("A named node that is not in the fleet, or out of reach, is a refusal that says so")
    func explicitMissing() throws {
        var fixture = try Fixture(.completion)
        fixture.request.policy.target = try NodeID("nowhere")
        let missing = fixture.decide()
        #expect(missing.target == nil)
        #expect(missing.reason.contains("nowhere: no node of this name is known"))
        fixture.request.policy.target = fixture.cloud1.id
        fixture.fleetReachable = false
        let away = fixture.decide()
        #expect(away.target == nil)
        #expect(away.reason.contains("the gateway cannot be reached"))
    }

    @Test("The origin itself is not asked again after it has refused")
    func originRefused() throws {
        var fixture = try Fixture(.threshold)
        fixture.refused = [fixture.edge.id: "disk full"]
        let decision = fixture.decide()
        #expect(decision.target == fixture.cloud1.id || decision.target == fixture.cloud2.id)
        #expect(decision.candidate("edge")?.score == nil)
    }
}

@Suite("Threshold")
struct ThresholdTests {
    /// Measures in turn, and whether work leaves under 75 % CPU, 80 % memory and 10 % hysteresis.
    @Test("Work leaves above the threshold and stays again only well below it")
    func hysteresis() throws {
        var fixture = try Fixture(.threshold)
        let steps: [(cpu: Double, memory: Double, leaves: Bool)] = [
            (0.50, 0.2, false), (0.75, 0.80, false), (0.76, 0.2, true), (0.70, 0.2, true), (0.66, 0.2, true),
            (0.64, 0.2, false), (0.70, 0.2, false), (0.75, 0.2, false), (0.20, 0.81, true), (0.20, 0.75, true),
            (0.80, 0.60, true), (0.70, 0.60, true), (0.60, 0.60, false),
        ]
        for (index, step) in steps.enumerated() {
            fixture.edge.measures.cpu = step.cpu
            fixture.edge.measures.memory = step.memory
            let decision = fixture.decide()
            #expect((decision.target != fixture.edge.id) == step.leaves, "step \(index): \(decision.reason)")
        }
    }

    @Test("A dip between two decisions counts when it was observed")
    func observed() throws {
        var fixture = try Fixture(.threshold)
        fixture.edge.measures.cpu = 0.9
        #expect(fixture.decide().target != fixture.edge.id)
        fixture.edge.measures.cpu = 0.1
        fixture.memory.observe(fixture.edge)
        fixture.edge.measures.cpu = 0.7
        #expect(fixture.decide().target == fixture.edge.id)
    }

    @Test("Thresholds of one container do not send another away")
    func separate() throws {
        var fixture = try Fixture(.threshold)
        fixture.edge.measures.cpu = 0.5
        var eager = fixture.request.policy
        eager.cpuThreshold = 0.3
        var patient = fixture
        patient.request.policy = eager
        #expect(patient.decide().target != fixture.edge.id)
        fixture.memory = patient.memory
        #expect(fixture.decide().target == fixture.edge.id)
    }

    @Test("Threshold takes the best of the others by tags and load")
    func best() throws {
        var fixture = try Fixture(.threshold)
        fixture.edge.measures.cpu = 0.9
        fixture.cloud2.measures.cpu = 0.01
        fixture.cloud1.measures.cpu = 0.5
        #expect(fixture.decide().target == fixture.cloud2.id)
        fixture.request.policy.tags = ["gpu"]
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("A busy origin keeps the work where nobody else fits")
    func nobody() throws {
        var fixture = try Fixture(.threshold)
        fixture.edge.measures.cpu = 0.9
        fixture.request.policy.tags = ["fpga"]
        #expect(fixture.decide().target == fixture.edge.id)
    }

    @Test("Many different thresholds do not grow the memory without bound")
    func bounded() throws {
        var memory = ThresholdMemory()
        let node = try Fixture(.threshold).edge
        var busy = node
        busy.measures.cpu = 1
        for step in 0..<1000 {
            let isAway = memory.isAway(busy, under: Policy(cpuThreshold: Double(step) / 2000))
            #expect(isAway)
        }
        #expect(memory.count(of: node.id) <= 32)
    }
}
