import Fleet
import NIOCore
import Testing

@testable import Session

@Suite("Leases that are owed to the gateway")
struct OwedLeasesTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("One is owed until the gateway has heard of it; one that it does not know yet may still come")
    func told() throws {
        var owed = OwedLeases()
        let workload = WorkloadID.random()
        owed.add(workload, epoch: 0, reason: "lost", now: start)
        let lease = try #require(owed.due(start).first)
        owed.told(lease, isKnown: false, now: start + .seconds(5))
        #expect(owed.due(start + .seconds(5)) == [lease])
        owed.told(lease, isKnown: false, now: start + .seconds(31))
        #expect(owed.isEmpty)
        owed.add(workload, epoch: 3, reason: "no room", now: start)
        let other = try #require(owed.due(start).first)
        owed.told(lease, isKnown: true, now: start)
        #expect(owed.due(start) == [other])
        owed.told(other, isKnown: true, now: start)
        #expect(owed.isEmpty)
    }

    @Test("What is asked for again is owed no more, and none for ever")
    func forgotten() {
        var owed = OwedLeases()
        let workloads = (0..<1100).map { _ in WorkloadID.random() }
        for (index, workload) in workloads.enumerated() {
            owed.add(workload, epoch: 1, reason: "", now: start + .milliseconds(Int64(index)))
        }
        #expect(owed.due(start).map(\.workload) == Array(workloads.dropFirst(76)))
        owed.remove(workloads[1099])
        #expect(owed.due(start).last?.workload == workloads[1098])
        #expect(owed.due(start + .minutes(11)).isEmpty)
    }
}
