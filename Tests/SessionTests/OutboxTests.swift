import Fleet
import FoundationEssentials
import NIOCore
import Testing

@testable import Session

struct OutboxTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func withOutbox(_ body: (inout Outbox) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/lighter-outbox-\(WorkloadID.random())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var outbox = Outbox(sequence: try SequenceReservation(directory: folder))
        try body(&outbox)
    }

    private func workload(_ id: WorkloadID = .random()) throws -> Workload {
        Workload(
            id: id, tenant: .main, origin: try NodeID("edge"), target: try NodeID("edge"),
            version: Version(epoch: 1, sequence: 0))
    }

    @Test("News that the gateway does not acknowledge stops going out after sixteen reports, and coalesces")
    func window() throws {
        try withOutbox { outbox in
            let id = WorkloadID.random()
            var sent = 0
            for _ in 0..<50 {
                outbox.record(try workload(id))
                sent += outbox.news(now: Self.now).count
            }
            #expect(sent == 16)
            #expect(outbox.hasNews)
            #expect(outbox.news(now: Self.now, isUrgent: true).map(\.workloads.count) == [1])
        }
    }

    @Test("Each change gets a greater sequence number than all before it")
    func sequences() throws {
        try withOutbox { outbox in
            var last: UInt64 = 0
            for _ in 0..<10 {
                outbox.record(try workload())
                let news = outbox.news(now: Self.now)
                let sequence = try #require(news.first?.workloads.first?.version.sequence)
                #expect(sequence > last)
                last = sequence
            }
        }
    }

    @Test("Nothing is called full before the node has said that its inventory is complete")
    func incomplete() throws {
        try withOutbox { outbox in
            outbox.record(try workload())
            #expect(outbox.everything(now: Self.now).map(\.isFull) == [false])
            outbox.complete()
            let full = outbox.everything(now: Self.now)
            #expect(full.map(\.isFull) == [true])
            #expect(full.first?.workloads.count == 1)
        }
    }

    @Test("An empty complete inventory is a full report too")
    func empty() throws {
        try withOutbox { outbox in
            #expect(outbox.everything(now: Self.now).isEmpty)
            outbox.complete()
            #expect(outbox.everything(now: Self.now).map(\.isFull) == [true])
        }
    }

    @Test("What waits too long for its acknowledgement goes out again")
    func late() throws {
        try withOutbox { outbox in
            outbox.record(try workload())
            #expect(outbox.news(now: Self.now).count == 1)
            outbox.resend(sentBefore: Self.now)
            #expect(!outbox.hasNews)
            outbox.resend(sentBefore: Self.now + .seconds(5))
            #expect(outbox.news(now: Self.now + .seconds(5)).count == 1)
        }
    }

    @Test("News waits longer where the gateway takes longer, and is all in one report then")
    func pace() throws {
        try withOutbox { outbox in
            var now = Self.now
            for _ in 0..<20 {
                outbox.record(try workload())
                let sent = try #require(outbox.news(now: now).first)
                now = now + .milliseconds(120)
                outbox.acknowledge(sent.sequence, now: now, roundTrip: .milliseconds(20))
            }
            #expect(outbox.pause > .milliseconds(90) && outbox.pause <= .milliseconds(100))
            for _ in 0..<30 { outbox.record(try workload()) }
            #expect(outbox.news(now: now).map(\.workloads.count) == [30])
        }
    }
}
