internal import Synchronization

/// The bytes that went through the pipe.
final class Meter: Sendable {
    private let counts = Mutex((sent: 0, received: 0))

    var bytes: (sent: Int, received: Int) { counts.withLock { $0 } }
    func sent(_ count: Int) { counts.withLock { $0.sent += count } }
    func received(_ count: Int) { counts.withLock { $0.received += count } }
}
