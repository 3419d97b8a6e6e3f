internal import Synchronization

/// What a side's main task works with.
struct Wires: Sendable {
    let inbox: Inbox
    let outbox: Outbox
    let courier: Courier
    let replies: Replies
    let tickets: Tickets
    let pace: Pace
    let work: FileWork
    let meter: Meter
    let progress: @Sendable (MountProgress) -> Void

    /// Tells how far it is, bytes included.
    func report(_ new: MountProgress) {
        var new = new
        (new.bytesSent, new.bytesReceived) = meter.bytes
        progress(new)
    }
}

/// The bytes that went through the pipe.
final class Meter: Sendable {
    private let counts = Mutex((sent: 0, received: 0))

    var bytes: (sent: Int, received: Int) { counts.withLock { $0 } }
    func sent(_ count: Int) { counts.withLock { $0.sent += count } }
    func received(_ count: Int) { counts.withLock { $0.received += count } }
}

/// How long changes are gathered: longer than asked where looking at them takes long itself.
final class Pace: Sendable {
    private let debounce: Duration
    private let scan = Mutex(Duration.zero)

    init(debounce: Duration) { self.debounce = debounce }

    /// At most a fifth of the time goes into looking.
    var pause: Duration { max(debounce, scan.withLock { $0 } * 4) }
    func scanTook(_ time: Duration) { scan.withLock { $0 = time } }
}
