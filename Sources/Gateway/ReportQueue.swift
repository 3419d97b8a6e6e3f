import Synchronization
import Wire

/// Reports of all sessions that wait to be recorded: who takes some takes all that one commit may hold.
final class ReportQueue: Sendable {
    struct Entry: Sendable {
        var session: AgentSession
        var reports: [Lighter_V1_Report]
    }

    /// Updates that are taken at once, about: the first of them should not wait for long.
    private static let most = 4096

    private typealias Waiter = CheckedContinuation<[Entry]?, Never>

    private struct State {
        var entries: [Entry] = []
        var waiters: [Waiter] = []
        var isFinished = false

        mutating func take() -> [Entry] {
            var size = 0
            let count =
                entries.firstIndex { entry in
                    defer { size += entry.reports.reduce(1) { $0 + $1.workloads.count } }
                    return size >= ReportQueue.most
                } ?? entries.count
            defer { entries.removeFirst(count) }
            return Array(entries.prefix(count))
        }
    }

    private let state = Mutex(State())

    func add(_ entry: Entry) {
        let (waiter, entries) = state.withLock { state -> (Waiter?, [Entry]) in
            state.entries.append(entry)
            guard let waiter = state.waiters.popLast() else { return (nil, []) }
            return (waiter, state.take())
        }
        waiter?.resume(returning: entries)
    }

    /// What waits, as soon as something does; nil once the queue is finished.
    func next() async -> [Entry]? {
        await withCheckedContinuation { continuation in
            let entries = state.withLock { state -> [Entry]?? in
                if state.isFinished { return .some(nil) }
                guard state.entries.isEmpty else { return state.take() }
                state.waiters.append(continuation)
                return nil
            }
            if let entries { continuation.resume(returning: entries) }
        }
    }

    /// Ends every `next()`; what waits is not recorded, and not acknowledged.
    func finish() {
        let waiters = state.withLock { state in
            state.isFinished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: nil) }
    }
}
