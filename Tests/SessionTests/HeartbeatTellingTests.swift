import Fleet
import Testing
import Wire

@testable import Session

@Suite("What a heartbeat has to say")
struct HeartbeatTellingTests {
    private let node: Node

    init() throws { node = Node(id: try NodeID("edge"), state: .ready) }

    private func begun(isLean: Bool = true) -> HeartbeatTelling {
        var telling = HeartbeatTelling()
        telling.begin(with: node)
        telling.isLean = isLean
        return telling
    }

    @Test("Where nothing changes it says so, and every sixth asks for an answer")
    func nothingNew() {
        var telling = begun()
        let beats = (0..<13).map { _ in telling.next(node, checksum: 7, count: 2, asks: false) }
        #expect(beats.allSatisfy { !$0.hasNode })
        #expect(beats[0].checksum == 7 && beats[0].workloads == 2 && !beats[0].same)
        for beat in beats.dropFirst() { #expect(beat.same && beat.checksum == 0) }
        #expect(beats.map(\.quiet) == (0..<13).map { $0 % 6 != 0 })
    }

    @Test("News is told once: another inventory, another state, a measure by which somebody might decide")
    func news() {
        var telling = begun()
        _ = telling.next(node, checksum: 7, count: 2, asks: false)
        let inventory = telling.next(node, checksum: 8, count: 3, asks: false)
        #expect(inventory.checksum == 8 && inventory.workloads == 3 && !inventory.hasNode)
        var other = node
        other.measures.cpu = 0.01
        #expect(!telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        other.measures.cpu = 0.06
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).node.measures.cpu == 0.06)
        // Little steps add up.
        other.measures.cpu = 0.1
        #expect(!telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        other.measures.cpu = 0.115
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        other.state = .engineDown
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        #expect(!telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
    }

    @Test("A small change is told once it has stayed for a while, and one that is over before is not")
    func smallChanges() {
        var telling = begun()
        var other = node
        func next(_ cpu: Double) -> Bool {
            other.measures.cpu = cpu
            return telling.next(other, checksum: 7, count: 2, asks: false).hasNode
        }
        let patience = HeartbeatTelling.patience
        #expect((1..<patience).allSatisfy { _ in !next(0.03) })
        #expect(next(0.04))
        // It goes back at once, and comes again: each time it is waited for anew.
        for _ in 0..<10 {
            #expect((1..<patience).allSatisfy { _ in !next(0.01) })
            #expect(!next(0.04))
        }
    }

    @Test("Who is about to decide is told what was kept back, and nothing where that is nothing")
    func rest() {
        var telling = HeartbeatTelling()
        telling.begin(with: node)
        var other = node
        other.measures.cpu = 0.04
        // The gateway has not said yet what it knows.
        #expect(telling.rest(other) == nil)
        telling.isLean = true
        #expect(telling.rest(other) == nil)
        _ = telling.next(node, checksum: 7, count: 2, asks: false)
        #expect(telling.rest(node) == nil)
        let rest = telling.rest(other)
        #expect(rest?.node.measures.cpu == 0.04)
        #expect(rest?.same == true && rest?.quiet == true)
        #expect(telling.rest(other) == nil)
        #expect(!telling.next(other, checksum: 7, count: 2, asks: false).hasNode)
    }

    @Test("Measures go alone where the gateway knows that, and nothing else of the node is news")
    func loneMeasures() {
        var telling = begun()
        telling.isTerse = true
        var other = node
        other.measures.cpu = 0.5
        let beat = telling.next(other, checksum: 7, count: 2, asks: false)
        #expect(beat.node.measures.cpu == 0.5 && beat.loneMeasures && beat.node.id.isEmpty)
        #expect(!telling.next(other, checksum: 7, count: 2, asks: false).hasNode)
        other.measures.cpu = 0.8
        other.state = .engineDown
        let both = telling.next(other, checksum: 7, count: 2, asks: false)
        #expect(both.node.measures.cpu == 0.8 && !both.loneMeasures && both.node.id == "edge")
    }

    @Test("A heartbeat without news is empty where the gateway knows that, and no other is")
    func shortest() {
        var telling = begun()
        let first = telling.next(node, checksum: 7, count: 2, asks: false)
        let second = telling.next(node, checksum: 7, count: 2, asks: false)
        #expect(telling.shortest(second) == second)
        telling.isTerse = true
        #expect(telling.shortest(first) == first)
        #expect(telling.shortest(second) == Lighter_V1_Heartbeat())
        #expect(telling.shortest(second).spelledOut == second)
        var asking = second
        (asking.quiet, asking.sentAt) = (false, 1)
        #expect(telling.shortest(asking) == asking)
        #expect(asking.spelledOut == asking)
    }

    @Test("Who holds leases asks each time")
    func asks() {
        var telling = begun()
        for _ in 0..<4 { #expect(!telling.next(node, checksum: 7, count: 2, asks: true).quiet) }
        #expect(telling.next(node, checksum: 7, count: 2, asks: false).quiet)
    }

    @Test("A gateway that does not know of it, and a new link, are told everything")
    func everything() {
        var old = begun(isLean: false)
        var telling = begun()
        for _ in 0..<3 {
            let beat = old.next(node, checksum: 7, count: 2, asks: false)
            #expect(beat.hasNode && beat.checksum == 7 && !beat.same && !beat.quiet)
            _ = telling.next(node, checksum: 7, count: 2, asks: false)
        }
        telling.begin(with: node)
        telling.isLean = true
        let first = telling.next(node, checksum: 7, count: 2, asks: false)
        #expect(first.checksum == 7 && !first.same && !first.quiet)
    }
}
