import Fleet
import Testing

@Suite("Labels that are Lighter's")
struct LighterLabelTests {
    private func refusal(_ labels: [String: String]) throws -> String? {
        let origin = try NodeID("edge1")
        do throws(FleetError) {
            try LighterLabel.check(labels, origin: origin)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("A name that is none is refused, with those that are; labels of others are passed over")
    func names() throws {
        let reason = try #require(try refusal(["lighter.polcy": "remote"]))
        #expect(reason.hasPrefix("there is no label lighter.polcy: use one of lighter.attempts, lighter.cpu_threshold"))
        for label in LighterLabel.allCases { #expect(reason.contains("lighter.\(label.rawValue)")) }
        #expect(try refusal(["com.example.polcy": "x", "io.lighter.target": "x", "lighter": "x"]) == nil)
    }

    @Test(
        "Values that say nothing are refused under the label's whole name",
        arguments: [
            ("lighter.exclusive", "maybe"), ("lighter.exclusive", ""), ("lighter.deadline", "x"),
            ("lighter.deadline", "-1s"), ("lighter.deadline", "s"), ("lighter.priority", "x"),
            ("lighter.priority", "1.5"), ("lighter.failover", "perhaps"),
        ])
    func values(key: String, value: String) throws {
        #expect(try refusal([key: value])?.hasPrefix("\(key)=\(value): use ") == true)
    }

    @Test(
        "Values that say something are taken",
        arguments: [
            ("lighter.exclusive", "yes"), ("lighter.exclusive", "false"), ("lighter.deadline", "10s"),
            ("lighter.deadline", "500ms"), ("lighter.deadline", "1.5h"), ("lighter.deadline", "90"),
            ("lighter.priority", "07"), ("lighter.priority", "-3"), ("lighter.failover", "hold"),
        ])
    func taken(key: String, value: String) throws { #expect(try refusal([key: value]) == nil) }

    @Test("Policy local and another node as the target contradict one another")
    func contradiction() throws {
        let labels = { (target: String) in ["lighter.policy": "local", "lighter.target": target] }
        #expect(
            try refusal(labels("cloud1"))
                == "lighter.policy=local: that is edge1, but lighter.target names cloud1: leave one of them out")
        #expect(try refusal(labels("edge1")) == nil)
        #expect(try refusal(["lighter.policy": "remote", "lighter.target": "cloud1"]) == nil)
    }
}
