import Fleet
import Testing

@Suite("Policy and its sources")
struct PolicyTests {
    @Test("Labels are read, and labels of others are passed over")
    func labels() throws {
        let overrides = try PolicyOverrides(labels: [
            ("com.example.policy", "nonsense"), ("lighter.policy", "remote"), ("lighter.target", "cloud1"),
            ("lighter.tags", "gpu, region=eu"), ("lighter.cpu_threshold", "60%"), ("lighter.memory_threshold", "0.5"),
            ("lighter.unknown", "x"),
        ])
        #expect(overrides.kind == .remote)
        #expect(overrides.target == (try NodeID("cloud1")))
        #expect(overrides.tags == ["gpu", "region=eu"])
        #expect(overrides.cpuThreshold == 0.6)
        #expect(overrides.memoryThreshold == 0.5)
    }

    @Test(
        "An impossible value is refused under the label's whole name",
        arguments: [
            ("lighter.policy", "fastest"), ("lighter.policy", ""), ("lighter.policy", "Remote"),
            ("lighter.cpu_threshold", "much"),
            ("lighter.cpu_threshold", "-1"), ("lighter.cpu_threshold", "101%"), ("lighter.memory_threshold", "nan"),
            ("lighter.memory_threshold", "inf"), ("lighter.memory_threshold", "%"), ("lighter.memory_threshold", ""),
            ("lighter.target", "Not A Node"),
        ])
    func errors(key: String, value: String) {
        let error = #expect(throws: FleetError.self) { try PolicyOverrides(labels: [(key, value)]) }
        #expect(error?.description.contains(key) == true, "\(error as Any)")
    }

    @Test(
        "A percentage may be written in three ways",
        arguments: [
            ("75%", 0.75), ("75", 0.75), ("0.75", 0.75), ("0", 0), ("100%", 1), ("1%", 0.01), ("0.5%", 0.005), ("1", 1),
        ])
    func fractions(text: String, expected: Double) throws {
        var overrides = PolicyOverrides()
        try overrides.set("cpu_threshold", text, shownAs: "cpu_threshold")
        let threshold = try #require(overrides.cpuThreshold)
        #expect((threshold - expected).magnitude < 1e-12)
    }

    @Test("The first source that speaks wins, key by key; defaults fill the rest")
    func precedence() throws {
        let labels = try PolicyOverrides(labels: [("lighter.policy", "remote"), ("lighter.tags", "")])
        var device = PolicyOverrides()
        try device.set("policy", "local", shownAs: "policy")
        try device.set("tags", "gpu", shownAs: "tags")
        try device.set("cpu_threshold", "50", shownAs: "cpu_threshold")
        var gateway = PolicyOverrides()
        try gateway.set("target", "cloud1", shownAs: "target")
        try gateway.set("cpu_threshold", "10", shownAs: "cpu_threshold")
        let policy = Policy(firstOf: [labels, device, gateway])
        #expect(policy.kind == .remote)
        #expect(policy.tags == [])
        #expect(policy.cpuThreshold == 0.5)
        #expect(policy.target == (try NodeID("cloud1")))
        #expect(policy.memoryThreshold == Policy().memoryThreshold)
        #expect(Policy(firstOf: []) == Policy())
    }
}
