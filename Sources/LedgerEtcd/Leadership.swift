import Synchronization

/// The right to write, for as long as the leader's key stands: it hangs on a lease of etcd's.
package final class Leadership: Sendable {
    let lease: Int64
    /// That of the leader's key; every write is conditional on it.
    let revision: Int64
    let life: Duration
    private let until: Mutex<ContinuousClock.Instant>

    /// - Parameter asked: when the lease was asked for, which is before it began.
    init(lease: Int64, revision: Int64, life: Duration, asked: ContinuousClock.Instant) {
        self.lease = lease
        self.revision = revision
        self.life = life
        until = Mutex(asked + life)
    }

    /// By this machine's clock the lease stands at least until then; the clock goes on while the machine sleeps.
    var end: ContinuousClock.Instant { until.withLock { $0 } }
    var holds: Bool { ContinuousClock.now < end }

    func renewed(asked: ContinuousClock.Instant) { until.withLock { $0 = max($0, asked + life) } }
    func lose() { until.withLock { $0 = .now } }

    /// Returns when the lease has run out, or the task was cancelled.
    func untilLost() async {
        while holds {
            do { try await Task.sleep(until: end, clock: .continuous) } catch { return }
        }
    }
}
