import Testing

@testable import Fleet

@Suite("Recent losses of a node")
struct RecentLossesTests {
    @Test("Each counts half as much with every hour, and a clock that is behind changes nothing")
    func decay() {
        let once = RecentLosses(counted: 0, at: 0).adding(at: 1000)
        #expect(once.count(at: 1000) == 1)
        #expect(once.count(at: 0) == 1)
        #expect(once.count(at: 1000 + 3600) == 0.5)
        #expect(once.adding(at: 1000 + 7200).count(at: 1000 + 7200) == 1.25)
    }
}
