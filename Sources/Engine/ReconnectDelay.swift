/// How long to wait before the next try: doubled each time, with jitter, so that many clients do not come back as one.
package struct ReconnectDelay: Sendable {
    private let first: Duration
    private let longest: Duration
    private var ceiling: Duration

    package init(first: Duration = .milliseconds(100), longest: Duration = .seconds(8)) {
        self.first = first
        self.longest = longest
        ceiling = first
    }

    /// Between half of the present ceiling and all of it.
    package mutating func next() -> Duration {
        let delay = ceiling * Double.random(in: 0.5...1)
        ceiling = min(ceiling * 2, longest)
        return delay
    }

    package mutating func reset() { ceiling = first }
}
