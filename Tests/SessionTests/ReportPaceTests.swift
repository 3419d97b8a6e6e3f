import NIOCore
import Testing

@testable import Session

struct ReportPaceTests {
    @Test("News waits for company as long as the gateway takes for a report, within bounds")
    func follows() {
        var pace = ReportPace()
        #expect(pace.pause == ReportPace.bounds.least)
        for _ in 0..<50 { pace.acknowledged(after: .milliseconds(80), roundTrip: .zero) }
        #expect(pace.pause > .milliseconds(75) && pace.pause <= .milliseconds(80))
        for _ in 0..<50 { pace.acknowledged(after: .seconds(9), roundTrip: .zero) }
        #expect(pace.pause == ReportPace.bounds.most)
        for _ in 0..<50 { pace.acknowledged(after: .microseconds(300), roundTrip: .zero) }
        #expect(pace.pause == ReportPace.bounds.least)
    }

    @Test("A long way is no reason to wait, and one that is measured too long does no harm")
    func roundTrip() {
        var pace = ReportPace()
        for _ in 0..<50 { pace.acknowledged(after: .milliseconds(203), roundTrip: .milliseconds(202)) }
        #expect(pace.pause == ReportPace.bounds.least)
        for _ in 0..<50 { pace.acknowledged(after: .milliseconds(10), roundTrip: .seconds(3)) }
        #expect(pace.pause == ReportPace.bounds.least)
    }
}
