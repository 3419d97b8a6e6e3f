import Fleet
import Testing

@testable import Placement

@Suite("Explaining a decision")
struct ExplanationTests {
    @Test("The table names the choice, the policy and its source, verdicts, reasons and terms with units")
    func table() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(30)
        fixture.edge.measures.cpu = 0.9
        fixture.cloud2.acceptsWork = false
        fixture.policySource = "label lighter.policy"
        let text = fixture.decide().explanation()
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.contains("policy    completion"))
        #expect(lines.contains("target    cloud1"))
        #expect(text.contains("(policy completion, label lighter.policy)"))
        #expect(lines.contains { $0.hasPrefix("cloud1  chosen    30.5 s") }, "\(text)")
        #expect(lines.contains { $0.hasPrefix("edge    possible") })
        #expect(lines.contains { $0.hasPrefix("cloud2  refused   -") && $0.contains("takes no work of others") })
        #expect(text.contains("image missing    4 MiB"))
        #expect(text.contains("bandwidth        9.5 MiB/s"))
        #expect(!lines.contains { $0.hasSuffix(" ") })
    }

    @Test("What nodes said against a workload after it was placed is told with them")
    func refusedLater() throws {
        var fixture = try Fixture(.remote)
        var decision = fixture.decide()
        decision.target = try NodeID("edge")
        decision.note(refused: [try NodeID("cloud1"): "node cloud1 does not admit it", try NodeID("far"): "full"])
        let lines = decision.explanation().split(separator: "\n")
        #expect(
            lines.contains {
                $0.hasPrefix("cloud1  refused") && $0.hasSuffix("just now: node cloud1 does not admit it")
            })
        #expect(lines.contains { $0.hasPrefix("far     refused") && $0.hasSuffix("it refused just now: full") })
        #expect(lines.contains { $0.hasPrefix("edge    chosen") })
    }

    @Test("Who named the target, and set the policy, is told as the request says; else the label did, and the default")
    func sources() throws {
        var fixture = try Fixture(.remote)
        fixture.request.policy.target = fixture.cloud2.id
        #expect(fixture.decide().reason == "cloud2: lighter.target names it (policy remote, default)")
        fixture.request.targetReason = "a drain of cloud1 moved it there"
        fixture.request.policySource = "the device's configuration"
        #expect(
            fixture.decide().reason
                == "cloud2: a drain of cloud1 moved it there (policy remote, the device's configuration)")
        #expect(fixture.decide().candidate("edge")?.refusals == ["only cloud2 is asked for"])
    }

    @Test("A refusal and its warnings are explained too")
    func refusal() throws {
        var fixture = try Fixture(.remote)
        fixture.request.policy.target = try NodeID("nowhere")
        #expect(fixture.decide().explanation().contains("target    none"))
        fixture.request.policy.target = nil
        fixture.fleetReachable = false
        #expect(fixture.decide().explanation().contains("warning   runs on edge: the fleet cannot be reached"))
    }

    @Test(
        "Numbers read without exponents",
        arguments: [
            (0, "0"), (0.5, "0.5"), (0.01234, "0.0123"), (1, "1"), (1.234, "1.23"), (45.67, "45.7"), (789.4, "789"),
            (1e12, "1000000000000"), (-0.25, "-0.25"), (0.00001, "0"), (.infinity, "inf"), (.nan, "?"), (9.999, "10"),
        ] as [(Double, String)])
    func numbers(value: Double, text: String) { #expect(Text.number(value) == text) }
}
