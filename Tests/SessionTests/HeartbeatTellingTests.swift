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

    @Test("Where nothing changes it says so, and every fifth asks for an answer")
    func nothingNew() {
        var telling = begun()
        let beats = (0..<11).map { _ in telling.next(node, checksum: 7, count: 2, asks: false) }
        #expect(beats.allSatisfy { !$0.hasNode })
        #expect(beats[0].checksum == 7 && beats[0].workloads == 2 && !beats[0].same)
        for beat in beats.dropFirst() { #expect(beat.same && beat.checksum == 0) }
        #expect(beats.map(\.quiet) == (0..<11).map { $0 % 5 != 0 })
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
        other.measures.cpu = 0.03
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).node.measures.cpu == 0.03)
        // Little steps add up.
        other.measures.cpu = 0.04
        #expect(!telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        other.measures.cpu = 0.055
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        other.state = .engineDown
        #expect(telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
        #expect(!telling.next(other, checksum: 8, count: 3, asks: false).hasNode)
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
