import Fleet
import Testing

@testable import Session

struct ReportBookTests {
    private func workload(_ sequence: UInt64, id: WorkloadID = .random(), state: WorkloadState = .running) throws
        -> Workload
    {
        Workload(
            id: id, tenant: .main, origin: try NodeID("edge"), target: try NodeID("edge"), state: state,
            version: Version(epoch: 1, sequence: sequence))
    }

    @Test("Of many changes of one workload only the newest is sent")
    func newestOnly() throws {
        var book = ReportBook()
        let id = WorkloadID.random()
        for sequence in 1...100 { book.record(try workload(UInt64(sequence), id: id)) }
        let next = book.nextBatch(limit: 10, sequence: 1)
        let batch = try #require(next)
        #expect(batch.map(\.version.sequence) == [100])
        #expect(book.nextBatch(limit: 10, sequence: 2) == nil)
    }

    @Test("A change while its former version is under way is sent, and that one's acknowledgement does not settle it")
    func changedUnderWay() throws {
        var book = ReportBook()
        let id = WorkloadID.random()
        book.record(try workload(1, id: id))
        _ = book.nextBatch(limit: 10, sequence: 1)
        book.record(try workload(2, id: id))
        book.acknowledge(1)
        #expect(!book.isSettled)
        #expect(book.nextBatch(limit: 10, sequence: 2)?.first?.version.sequence == 2)
        book.acknowledge(2)
        #expect(book.isSettled)
    }

    @Test("A report that was not acknowledged in time is news again")
    func resent() throws {
        var book = ReportBook()
        book.record(try workload(1))
        let first = book.nextBatch(limit: 10, sequence: 1)
        #expect(!book.hasNews)
        book.resend(1)
        #expect(book.nextBatch(limit: 10, sequence: 2) == first)
    }

    @Test("A removed workload stays until its removal is acknowledged, and is in no fingerprint")
    func removed() throws {
        var book = ReportBook()
        let id = WorkloadID.random()
        book.record(try workload(1, id: id))
        book.record(try workload(2, id: id, state: .removed))
        #expect(book.fingerprint.count == 0)
        #expect(book.fingerprint.checksum == InventoryChecksum().value)
        #expect(book.everything(sequence: 1).count == 1)
        book.acknowledge(1)
        #expect(book.everything(sequence: 2).isEmpty)
    }

    @Test("An older epoch does not replace a newer one")
    func olderEpoch() throws {
        var book = ReportBook()
        let id = WorkloadID.random()
        var newer = try workload(1, id: id)
        newer.version.epoch = 5
        book.record(newer)
        book.record(try workload(9, id: id))
        #expect(book.nextBatch(limit: 10, sequence: 1) == [newer])
    }

    @Test("After a lost connection everything is said again, without decisions that the gateway keeps")
    func startOver() throws {
        var book = ReportBook()
        var decided = try workload(1)
        decided.decision = Decision(workload: decided.id, policy: .local, target: decided.target, reason: "so")
        book.record(decided)
        #expect(book.nextBatch(limit: 10, sequence: 1)?.first?.decision != nil)
        book.acknowledge(1)
        book.startOver()
        let next = book.nextBatch(limit: 10, sequence: 2)
        let again = try #require(next?.first)
        #expect(again.id == decided.id)
        #expect(again.decision == nil)
    }
}
