import Testing
import Wire

@testable import Gateway

struct SessionIntakeTests {
    private func report(_ sequence: UInt64, isFull: Bool = false) -> Lighter_V1_Report {
        var report = Lighter_V1_Report()
        report.sequence = sequence
        report.full = isFull
        return report
    }

    private func sequences(_ work: SessionIntake.Work?) -> [UInt64]? {
        switch work {
        case .changes(let reports)?: reports.map(\.sequence)
        case .full(let report)?: [report.sequence]
        case nil: nil
        }
    }

    private func recorded(_ outcome: SessionIntake.Outcome) -> [UInt64]? {
        if case .record(let work) = outcome { sequences(work) } else { nil }
    }

    private func known() -> SessionIntake {
        var intake = SessionIntake()
        intake.hello()
        _ = intake.greeted()
        return intake
    }

    @Test("A node that has not said Hello is heard about nothing")
    func noHello() {
        var intake = SessionIntake()
        guard case .refuse = intake.take(report(1)), case .refuse = intake.take(Lighter_V1_Heartbeat()) else {
            Issue.record("a stranger's message was taken")
            return
        }
        intake.hello()
        #expect(sequences(intake.greeted().work) == nil)
    }

    @Test("What comes before the node is known is held, and then taken in order")
    func held() {
        var intake = SessionIntake()
        intake.hello()
        for sequence in 1...2 {
            guard case .wait = intake.take(report(UInt64(sequence))) else {
                Issue.record("a report was recorded of a node that is not known")
                return
            }
        }
        guard case .wait = intake.take(Lighter_V1_Heartbeat.with(checksum: 7, workloads: 0)) else {
            Issue.record("a heartbeat was answered to a node that is not known")
            return
        }
        let first = intake.greeted()
        #expect(first.heartbeats.map(\.checksum) == [7])
        #expect(sequences(first.work) == [1, 2])
        #expect(intake.greeted().heartbeats.isEmpty)
    }

    @Test("Reports that come while others are being recorded are recorded together, after those")
    func pipelined() {
        var intake = known()
        #expect(recorded(intake.take(report(1))) == [1])
        #expect(recorded(intake.take(report(2))) == nil)
        #expect(recorded(intake.take(report(3))) == nil)
        #expect(sequences(intake.recorded()) == [2, 3])
        #expect(sequences(intake.recorded()) == nil)
        #expect(recorded(intake.take(report(4))) == [4])
    }

    @Test("A full report is recorded alone, after all before it and before all after it")
    func full() {
        var intake = known()
        #expect(recorded(intake.take(report(1))) == [1])
        for next in [report(2), report(3, isFull: true), report(4), report(5)] {
            #expect(recorded(intake.take(next)) == nil)
        }
        #expect(sequences(intake.recorded()) == [2])
        #expect(sequences(intake.recorded()) == [3])
        #expect(sequences(intake.recorded()) == [4, 5])
    }

    @Test("A heartbeat of a node that is known waits for no report")
    func heartbeats() {
        var intake = known()
        _ = intake.take(report(1))
        guard case .answer = intake.take(Lighter_V1_Heartbeat()) else {
            Issue.record("a heartbeat waits")
            return
        }
    }
}
