import NIOCore
import Synchronization

/// By how much event loops are behind: the time that a task waits for its turn. Safe from any task.
final class LoopLag: Sendable {
    private struct Probe {
        /// When the one that is under way was handed over.
        var since: NIODeadline?
        var last = TimeAmount.zero
    }

    private let loops: [any EventLoop]
    private let probes: Mutex<[Probe]>

    init(_ loops: [any EventLoop]) {
        self.loops = loops
        probes = Mutex(loops.map { _ in Probe() })
    }

    /// The lag of the loop that is behind most, as it was found last or is at least by now; then looks anew.
    func measure() -> TimeAmount {
        let now = NIODeadline.now()
        let (lag, idle) = probes.withLock { probes in
            var idle: [Int] = []
            var lag = TimeAmount.zero
            for index in probes.indices {
                lag = max(lag, probes[index].last, probes[index].since.map { now - $0 } ?? .zero)
                guard probes[index].since == nil else { continue }
                probes[index].since = now
                idle.append(index)
            }
            return (lag, idle)
        }
        for index in idle {
            loops[index].execute {
                self.probes.withLock { $0[index] = Probe(since: nil, last: NIODeadline.now() - now) }
            }
        }
        return lag
    }
}
