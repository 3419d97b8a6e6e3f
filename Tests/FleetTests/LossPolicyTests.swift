import Fleet
import Testing

@Suite("What becomes of work whose node is lost")
struct LossPolicyTests {
    @Test(
        "Its restart policy says so, unless a label does",
        arguments: [
            ("", nil, LossPolicy.Kind.hold), ("no", nil, .hold), ("always", nil, .restart),
            ("unless-stopped", nil, .restart), ("on-failure", nil, .rerun), ("always", "hold", .hold),
            ("no", "rerun", .rerun), ("no", "restart", .restart),
        ])
    func kind(restart: String, label: String?, expected: LossPolicy.Kind) throws {
        let labels = label.map { [LossPolicy.label: $0] } ?? [:]
        let policy = try LossPolicy(labels: labels, restartPolicy: restart)
        #expect(policy.kind == expected)
        #expect(policy.isExclusive == (expected != .hold))
        #expect(policy.attempts == LossPolicy.usualAttempts)
    }

    @Test("A label says what becomes of it when its node is back, and else what is given")
    func returns() throws {
        #expect(try LossPolicy(labels: [:], restartPolicy: "always").returns == .keepReplacement)
        #expect(try LossPolicy(labels: [:], restartPolicy: "", returns: .keepOriginal).returns == .keepOriginal)
        let labels = [LossPolicy.returnLabel: "keep-replacement"]
        #expect(try LossPolicy(labels: labels, restartPolicy: "", returns: .keepOriginal).returns == .keepReplacement)
    }

    @Test("Attempts are counted", arguments: [("1", 1), ("20", 20)])
    func attempts(text: String, expected: Int) throws {
        let labels = [LossPolicy.attemptsLabel: text]
        #expect(try LossPolicy(labels: labels, restartPolicy: "on-failure").attempts == expected)
    }

    @Test(
        "What cannot be meant is refused with the label and what it takes",
        arguments: [
            (LossPolicy.label, "maybe"), (LossPolicy.attemptsLabel, "0"), (LossPolicy.attemptsLabel, "many"),
            (LossPolicy.returnLabel, "home"),
        ])
    func refused(label: String, value: String) {
        #expect {
            try LossPolicy(labels: [label: value], restartPolicy: "")
        } throws: { error in
            let text = "\(error)"
            return text.contains(label) && text.contains(value) && text.contains("use ")
        }
    }
}
