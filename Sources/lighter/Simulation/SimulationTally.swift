import Synchronization

/// What all simulated nodes have seen. Safe from any event loop.
final class SimulationTally: Sendable {
    struct Figures: Sendable {
        var updates = 0
        /// Those with updates.
        var reports = 0
        var heartbeats = 0
        var pushedBytes = 0
        var acknowledged = DelayHistogram()
        var answered = DelayHistogram()
        var errors: [String: Int] = [:]
    }

    private let figures = Mutex(Figures())

    func note(_ change: (inout Figures) -> Void) { figures.withLock { change(&$0) } }

    func fail(_ why: String) { note { $0.errors[String(why.prefix(160)), default: 0] += 1 } }

    /// What has been seen since the last call; errors go on.
    func take() -> Figures {
        figures.withLock { figures in
            defer {
                let errors = figures.errors
                figures = Figures()
                figures.errors = errors
            }
            return figures
        }
    }
}
