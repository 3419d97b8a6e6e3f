import Engine
import Fleet
import NIOCore
import Testing
import Trust

@testable import Agent

@NodeLoop
@Suite("Tickets and calls that wait for each other")
struct TicketInboxTests {
    private final class Answers {
        var list: [Ticket?] = []
    }

    private let loop = NodeLoop.shared.loop
    private let workload = WorkloadID.random()

    private func ticket(epoch: UInt64, _ workload: WorkloadID) throws -> Ticket {
        Ticket(
            workload: workload, tenant: .main, origin: try NodeID("edge1"), target: try NodeID("cloud1"), epoch: epoch,
            notBefore: 0, expiresAt: 100)
    }

    @Test("A call that came first is answered when its ticket comes, once")
    func callFirst() throws {
        let inbox = TicketInbox()
        let answers = Answers()
        inbox.wait(for: workload, on: loop) { answers.list.append($0) }
        inbox.put(try ticket(epoch: 1, .random()))
        #expect(answers.list.isEmpty, "another workload's ticket is not its own")
        inbox.put(try ticket(epoch: 1, workload))
        inbox.put(try ticket(epoch: 2, workload))
        #expect(answers.list == [try ticket(epoch: 1, workload)])
    }

    @Test("A ticket that came first is there for the call, and an older one does not replace it")
    func ticketFirst() throws {
        let inbox = TicketInbox()
        inbox.put(try ticket(epoch: 2, workload))
        inbox.put(try ticket(epoch: 1, workload))
        let answers = Answers()
        inbox.wait(for: workload, on: loop) { answers.list.append($0) }
        #expect(answers.list == [try ticket(epoch: 2, workload)])
    }

    @Test("However many tickets come that nobody calls for, the newest are kept")
    func bounded() throws {
        let inbox = TicketInbox()
        for _ in 0..<5000 { inbox.put(try ticket(epoch: 1, .random())) }
        inbox.put(try ticket(epoch: 1, workload))
        let answers = Answers()
        inbox.wait(for: workload, on: loop) { answers.list.append($0) }
        #expect(answers.list.count == 1)
    }
}
