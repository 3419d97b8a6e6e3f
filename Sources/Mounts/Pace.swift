internal import Synchronization

/// When changes are looked at: soon after a quiet time, and seldom enough where they are many or looking takes long.
final class Pace: Sendable {
    private struct Look {
        let end: ContinuousClock.Instant
        let took: Duration
    }

    private let debounce: Duration
    private let last = Mutex<Look?>(nil)
    private let isDue = Mutex(false)

    /// - Parameter debounce: between two looks at the least.
    init(debounce: Duration) { self.debounce = debounce }

    /// Has everything that is in doubt looked at, after a while.
    func lookAgain() { isDue.withLock { $0 = true } }

    /// Whether that was asked for since the last call.
    func takeLook() -> Bool {
        isDue.withLock { isDue in
            defer { isDue = false }
            return isDue
        }
    }

    /// How long changes are gathered from now on: a program that saves a file does several things to it. At most a fifth of the
    /// time goes into looking.
    func pause(_ now: ContinuousClock.Instant = .now) -> Duration {
        let gathering = debounce / 5
        guard let last = last.withLock({ $0 }) else { return gathering }
        return max(gathering, max(debounce, last.took * 4) - (now - last.end))
    }

    func looked(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant = .now) {
        last.withLock { $0 = Look(end: end, took: end - start) }
    }
}
