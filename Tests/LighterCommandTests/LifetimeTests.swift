import Testing

@testable import lighter

@Suite("Lifetime")
struct LifetimeTests {
    @Test("A number with its unit is read", arguments: [("90s", 90.0), ("30m", 1800), ("1h", 3600), ("2d", 172_800)])
    func reads(_ text: String, _ seconds: Double) {
        #expect(Lifetime(argument: text)?.seconds == seconds)
    }

    @Test("Anything else is nil", arguments: ["", "h", "1", "0h", "-1h", "1.5h", "1w", "1 h", "99999999999h"])
    func refuses(_ text: String) {
        #expect(Lifetime(argument: text) == nil)
    }
}
