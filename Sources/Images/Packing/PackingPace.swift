package import NIOCore

/// When what waits in a packed stream goes out: soon as long as little is said, and in common packets where much is.
package struct PackingPace {
    /// Bytes that do not wait.
    package static let patience = 32 << 10

    /// Of sessions, in which both ends wait for each other.
    static let session = PackingPace(burst: 3, interval: .milliseconds(20))
    /// Of what a person is told.
    package static let progress = PackingPace(burst: 1, interval: .milliseconds(100))

    /// What is said within so long is said at once.
    static let gathering = TimeAmount.milliseconds(2)
    /// How long that waits for which nobody does, unless something else is said.
    static let leisure = TimeAmount.milliseconds(50)

    /// Packets that nothing waits for.
    private let burst: Int
    private let interval: TimeAmount
    private var free: Int
    private var since: NIODeadline?

    private init(burst: Int, interval: TimeAmount) {
        (self.burst, self.interval) = (burst, interval)
        free = burst
    }

    /// How long the next packet waits; it counts as sent.
    package mutating func wait(_ now: NIODeadline) -> TimeAmount {
        let earned = since.map { (now - $0).nanoseconds / interval.nanoseconds } ?? 0
        if let since, earned > 0 {
            free += Int(min(earned, Int64(burst - free)))
            self.since = since + interval * earned
        }
        if free == burst || since == nil { since = now }
        free -= 1
        return free >= 0 ? Self.gathering : max(Self.gathering, (since ?? now) + interval * Int64(-free) - now)
    }
}
