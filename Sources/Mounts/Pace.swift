internal import Synchronization

/// How long changes are gathered: longer than asked where looking at them takes long itself.
final class Pace: Sendable {
    private let debounce: Duration
    private let scan = Mutex(Duration.zero)

    init(debounce: Duration) { self.debounce = debounce }

    private let isDue = Mutex(false)

    /// Has everything that is in doubt looked at, after a while.
    func lookAgain() { isDue.withLock { $0 = true } }

    /// Whether that was asked for since the last call.
    func takeLook() -> Bool {
        isDue.withLock { isDue in
            defer { isDue = false }
            return isDue
        }
    }

    /// At most a fifth of the time goes into looking.
    var pause: Duration { max(debounce, scan.withLock { $0 } * 4) }
    func scanTook(_ time: Duration) { scan.withLock { $0 = time } }
}
