import NIOCore

/// A rate limit: `capacity` at once, refilled at `rate` a second.
struct TokenBucket {
    private let capacity: Double
    private let rate: Double
    private var level: Double
    private var filledAt: NIODeadline

    init(capacity: Int, rate: Double, now: NIODeadline) {
        self.capacity = Double(capacity)
        self.rate = rate
        level = Double(capacity)
        filledAt = now
    }

    /// Whether one more may pass now.
    mutating func take(now: NIODeadline) -> Bool {
        level = min(capacity, level + Double((now - filledAt).nanoseconds) / 1e9 * rate)
        filledAt = now
        guard level >= 1 else { return false }
        level -= 1
        return true
    }
}
