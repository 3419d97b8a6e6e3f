internal import Synchronization

/// Those who wait until both sides are the same.
final class Tickets: Sendable {
    typealias Ticket = CheckedContinuation<Result<Void, MountError>, Never>

    /// Those who came before a certain look at both sides.
    struct Batch: Sendable {
        fileprivate let tickets: [Ticket]
        var isEmpty: Bool { tickets.isEmpty }

        func finish(_ error: MountError?) {
            for ticket in tickets { ticket.resume(returning: error.map { .failure($0) } ?? .success(())) }
        }
    }

    private struct State {
        var waiting: [Ticket] = []
        var end: MountError?
    }

    private let state = Mutex(State())

    func wait(_ then: () -> Void) async throws(MountError) {
        let result: Result<Void, MountError> = await withCheckedContinuation { ticket in
            let end = state.withLock { state in
                if state.end == nil { state.waiting.append(ticket) }
                return state.end
            }
            if let end { ticket.resume(returning: .failure(end)) } else { then() }
        }
        try result.get()
    }

    func take() -> Batch {
        state.withLock { state in
            defer { state.waiting = [] }
            return Batch(tickets: state.waiting)
        }
    }

    /// Nobody is served any more.
    func close(_ error: MountError) {
        state.withLock { $0.end = $0.end ?? error }
        take().finish(error)
    }
}
