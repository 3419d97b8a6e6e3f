import Fleet
import Leases
import Testing

@testable import Agent

@Suite("Leases of a node, for each origin")
struct LeaseBookTests {
    private let edge: NodeID
    private let other: NodeID
    private let workload = WorkloadID.random()

    init() throws {
        edge = try NodeID("edge1")
        other = try NodeID("edge2")
    }

    private func confirmed(now: UInt64 = 10) -> LeaseBook {
        var book = LeaseBook(gateway: 0, origins: [:], now: now)
        book.renew(sentAt: now, term: 100)
        _ = book.confirm(book.mark, at: now)
        return book
    }

    @Test("the gateway's word renews all of them, an origin's its own")
    func words() {
        var book = confirmed()
        book.add(edge)
        book.add(other)
        book.renew(edge, sentAt: 60, term: 100)
        #expect(book.check(at: 110) == [other])
        #expect(book.lease(edge).stands(at: 159))
        #expect(book.check(at: 160) == [edge])
        #expect(book.check(at: 161).isEmpty)
    }

    @Test("what has run out does not stand by heartbeats alone, nor by a report from before")
    func confirmation() {
        var book = confirmed()
        book.add(edge)
        let before = book.mark
        #expect(book.check(at: 110) == [edge])
        book.renew(sentAt: 120, term: 100)
        #expect(book.awaitsConfirmation(at: 121))
        #expect(book.confirm(before, at: 121).isEmpty)
        #expect(!book.lease(edge).stands(at: 121))
        #expect(book.confirm(book.mark, at: 122) == [edge])
        #expect(book.lease(edge).stands(at: 122))
        #expect(!book.awaitsConfirmation(at: 122))
    }

    @Test("only what the gateway has told since the last lapse becomes a container")
    func admission() {
        var book = confirmed()
        #expect(!book.lease(edge).admits(workload, epoch: 3, at: 20))
        book.tell(workload, epoch: 3, origin: edge)
        #expect(book.lease(edge).admits(workload, epoch: 3, at: 20))
        #expect(!book.lease(edge).admits(workload, epoch: 2, at: 20))
        #expect(!book.lease(other).admits(workload, epoch: 3, at: 20))
        _ = book.check(at: 110)
        book.renew(sentAt: 120, term: 100)
        book.tell(workload, epoch: 3, origin: edge)
        _ = book.confirm(book.mark, at: 121)
        // Told before the gateway had said what is over.
        #expect(!book.lease(edge).admits(workload, epoch: 3, at: 122))
    }

    @Test("what the gateway tells and nobody makes is forgotten in the end")
    func bound() {
        var book = confirmed()
        book.tell(workload, epoch: 3, origin: edge)
        for _ in 0..<5000 { book.tell(.random(), epoch: 1, origin: edge) }
        #expect(!book.lease(edge).admits(workload, epoch: 3, at: 20))
    }

    @Test("a process that starts anew believes what the one before it was promised")
    func restart() {
        let book = LeaseBook(gateway: 100, origins: [edge: 150, other: 0], now: 60)
        #expect(book.lease(edge).stands(at: 149))
        #expect(!book.lease(other).stands(at: 61))
        #expect(book.gateway.stands(at: 99))
    }
}
