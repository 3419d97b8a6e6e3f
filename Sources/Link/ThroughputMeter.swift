import NIOCore

/// The best recent rate of a link in bytes per second, in either direction.
///
/// Rates are taken over tenths of a second; the best one fades by half in about a minute, so that an idle link
/// still tells what it could carry, and a link that became slow is believed before long.
struct ThroughputMeter: Sendable {
    private static let span = TimeAmount.milliseconds(100)
    private static let fading = 0.5 / 60

    private(set) var best = 0.0
    private var since: NIODeadline?
    private var received = 0
    private var sent = 0

    mutating func add(received: Int = 0, sent: Int = 0, now: NIODeadline) {
        guard let since else {
            self.since = now
            self.received = received
            self.sent = sent
            return
        }
        self.received += received
        self.sent += sent
        let elapsed = now - since
        guard elapsed >= Self.span else { return }
        let seconds = Double(elapsed.nanoseconds) / 1e9
        let rate = Double(max(self.received, self.sent)) / seconds
        best = max(rate, best * max(0, 1 - seconds * Self.fading))
        self.since = now
        self.received = 0
        self.sent = 0
    }
}
