import NIOCore
import Testing

@testable import Link

struct DoorLineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func line() -> DoorLine<Int> {
        var configuration = LinkConfiguration()
        configuration.handshakes = 2
        configuration.waiting = 3
        configuration.handshakeTimeout = .seconds(10)
        return DoorLine(configuration)
    }

    @Test("So many begin at once, so many wait, and whoever is more is turned away")
    func places() {
        var line = line()
        #expect((0..<6).map { line.enter($0, now: Self.start) } == [true, true, false, false, false, nil])
    }

    @Test("Who waits comes in turn, and who has left makes room")
    func turns() {
        var line = line()
        for turn in 0..<4 { _ = line.enter(turn, now: Self.start) }
        #expect(line.leave(now: Self.start).next == 2)
        #expect(line.leave(now: Self.start).next == 3)
        #expect(line.leave(now: Self.start).next == nil)
        #expect(line.standing == 1)
        #expect(line.enter(4, now: Self.start) == true)
    }

    @Test("Who has waited for half of a handshake's time is let go rather than served too late")
    func late() {
        var line = line()
        for turn in 0..<4 { _ = line.enter(turn, now: Self.start) }
        _ = line.enter(4, now: Self.start + .seconds(2))
        let (next, late) = line.leave(now: Self.start + .seconds(6))
        #expect(next == 4)
        #expect(late == [2, 3])
        let after = line.leave(now: Self.start + .seconds(6))
        #expect(after.next == nil && after.late.isEmpty)
    }
}
