import Fleet
import LighterTesting
import Testing

@testable import Agent

@Suite("The table of leases")
struct LeaseTableTests {
    private static let container = String(repeating: "c0", count: 32)

    private func table(_ scratch: ScratchFolder, boot: String = "one") throws -> LeaseTable {
        try #require(LeaseTable(path: "\(scratch.path)/table", engine: "/engine.sock", boot: boot))
    }

    @Test("what one process enters, another that maps the file reads")
    func shared() throws {
        let scratch = try ScratchFolder()
        let table = try table(scratch)
        #expect(table.isFresh)
        let workload = WorkloadID.random()
        let slot = try #require(table.claim(workload, epoch: 7, origin: NodeID("edge1"), until: 1000))
        table.name(slot, Self.container)
        table.gatewayDeadline = 900
        let other = try self.table(scratch)
        #expect(!other.isFresh)
        let entry = try #require(other.entries.first)
        #expect(other.entries.count == 1)
        #expect((entry.workload, entry.epoch, entry.origin.name) == (workload, 7, "edge1"))
        #expect((entry.containerID, entry.deadline, entry.isFenced) == (Self.container, 1000, false))
        #expect((other.gatewayDeadline, other.engine) == (900, "/engine.sock"))
        table.free(slot)
        #expect(other.entries.isEmpty)
    }

    @Test("after a boot it is empty, wherever its file was kept")
    func boot() throws {
        let scratch = try ScratchFolder()
        let old = try table(scratch)
        _ = old.claim(.random(), epoch: 1, origin: try NodeID("edge1"), until: 1000)
        old.gatewayDeadline = 900
        let fresh = try table(scratch, boot: "two")
        #expect(fresh.isFresh)
        #expect(fresh.entries.isEmpty)
        #expect(fresh.gatewayDeadline == 0)
    }

    @Test("of two that act at once, one renews or fences, and the other finds out")
    func race() throws {
        let scratch = try ScratchFolder()
        let (ours, fences) = (try table(scratch), try table(scratch))
        let slot = try #require(ours.claim(.random(), epoch: 1, origin: NodeID("edge1"), until: 1000))
        let seen = try #require(fences[slot])
        #expect(seen.isDue(at: 1000) && !seen.isDue(at: 999))
        // Renewed before the fence has acted.
        #expect(ours.renew(slot, until: 2000))
        #expect(!fences.fence(seen))
        // Fenced before it is renewed.
        #expect(fences.fence(try #require(fences[slot])))
        #expect(!ours.renew(slot, until: 3000))
        let fenced = try #require(ours[slot])
        #expect(fenced.isFenced && fenced.isDue(at: 0) && fenced.deadline == 2000)
        fences.done(fenced)
        #expect(!(try #require(ours[slot])).isDue(at: .max >> 1))
        ours.reopen(slot, until: 4000)
        let reopened = try #require(ours[slot])
        #expect(!reopened.isFenced && !reopened.isDone)
    }

    @Test("what must not run is fenced from its beginning, and a full table says so")
    func full() throws {
        let scratch = try ScratchFolder()
        let table = try table(scratch)
        let slot = try #require(table.claim(.random(), epoch: 1, origin: NodeID("edge1"), until: nil))
        #expect(table[slot]?.isFenced == true)
        for _ in 1..<LeaseTable.capacity {
            #expect(table.claim(.random(), epoch: 1, origin: try NodeID("edge1"), until: 5) != nil)
        }
        #expect(table.claim(.random(), epoch: 1, origin: try NodeID("edge1"), until: 5) == nil)
    }
}
