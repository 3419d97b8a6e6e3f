/// Waiting times before dialling again: doubling from 100 ms to 8 s, each drawn at random between half and the whole,
/// so that nodes which lost the same gateway do not come back in step.
package struct Backoff: Sendable {
    package let least: Duration
    package let most: Duration
    private var ceiling: Duration

    package init(from least: Duration = .milliseconds(100), to most: Duration = .seconds(8)) {
        self.least = least
        self.most = max(least, most)
        self.ceiling = least
    }

    /// The next waiting time.
    package mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    /// The next waiting time, drawn from `generator`.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        defer { ceiling = min(ceiling * 2, most) }
        return ceiling * Double.random(in: 0.5...1, using: &generator)
    }

    /// After a success: the next waiting time is the least again.
    package mutating func reset() { ceiling = least }
}
