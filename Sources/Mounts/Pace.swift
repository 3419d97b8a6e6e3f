internal import Synchronization

/// When changes are looked at: soon after a quiet time, and seldom enough where they are many or looking takes long.
final class Pace: Sendable {
    private struct State {
        /// When the look that is under way began.
        var start: ContinuousClock.Instant?
        /// When the last one ended, and how long it took.
        var last: (end: ContinuousClock.Instant, took: Duration)?
        var isDue = false
    }

    private let debounce: Duration
    private let state = Mutex(State())

    /// - Parameter debounce: between two looks at the least.
    init(debounce: Duration) { self.debounce = debounce }

    /// Has everything that is in doubt looked at, after a while.
    func lookAgain() { state.withLock { $0.isDue = true } }

    /// Whether that was asked for since the last call.
    func takeLook() -> Bool {
        state.withLock { state in
            defer { state.isDue = false }
            return state.isDue
        }
    }

    /// How long changes are gathered from now on: a program that saves a file does several things to it. At most a fifth of the
    /// time goes into looking.
    func pause(_ now: ContinuousClock.Instant = .now) -> Duration {
        let gathering = debounce / 5
        let (start, last) = state.withLock { ($0.start, $0.last) }
        if let start { return max(debounce, (now - start) * 4) }
        guard let last else { return gathering }
        return max(gathering, max(debounce, last.took * 4) - (now - last.end))
    }

    func begin(_ now: ContinuousClock.Instant = .now) { state.withLock { $0.start = now } }

    func end(_ now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            guard let start = state.start else { return }
            state.start = nil
            state.last = (now, now - start)
        }
    }
}
