import NIOCore
import Synchronization

/// What a link has measured, readable from any thread.
final class LinkMeasures: Sendable {
    private struct State {
        var roundTrip: Duration?
        var meter = ThroughputMeter()
        var isActive = true
    }

    private let state = Mutex(State())

    var roundTrip: Duration? { state.withLock { $0.roundTrip } }
    var throughput: Double { state.withLock { $0.meter.best } }
    var isActive: Bool { state.withLock { $0.isActive } }

    func set(roundTrip: Duration?) { state.withLock { $0.roundTrip = roundTrip } }
    func end() { state.withLock { $0.isActive = false } }

    func add(received: Int = 0, sent: Int = 0, now: NIODeadline) {
        state.withLock { $0.meter.add(received: received, sent: sent, now: now) }
    }
}
