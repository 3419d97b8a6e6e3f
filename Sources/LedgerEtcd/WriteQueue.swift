import Ledger
import Synchronization

/// What waits to be written: whatever gathers while one transaction is under way goes into the next.
final class WriteQueue: Sendable {
    /// One caller's write.
    struct Item: Sendable {
        /// How many keys it reads and writes at most.
        let keys: Int
        /// Works on a draft, perhaps several times, and returns how to tell the caller.
        let run: @Sendable (inout Draft) throws -> @Sendable () -> Void
        let fail: @Sendable (LedgerError) -> Void
    }

    private struct State {
        var waiting: [Item] = []
        var refusal: LedgerError?
    }

    private let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    init() { (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// Why nothing more is taken; nil while it is.
    var refusal: LedgerError? { state.withLock { $0.refusal } }

    func add(_ item: Item) {
        let refusal = state.withLock { state in
            if state.refusal == nil { state.waiting.append(item) }
            return state.refusal
        }
        if let refusal { item.fail(refusal) } else { changed.yield() }
    }

    /// Takes nothing more; `batches` end once what waits has been taken.
    func close(_ refusal: LedgerError) {
        state.withLock { $0.refusal = $0.refusal ?? refusal }
        changed.finish()
    }

    /// Calls `body` with what waits, at most `keys` keys at once, until closed and empty or the task is cancelled.
    func drain(keys: Int, _ body: ([Item]) async -> Void) async {
        for await _ in changes { while let batch = take(keys: keys) { await body(batch) } }
        while !Task.isCancelled, let batch = take(keys: keys) { await body(batch) }
    }

    /// Fails what still waits.
    func abandon() {
        let (left, refusal) = state.withLock { state in
            defer { state.waiting = [] }
            return (state.waiting, state.refusal)
        }
        for item in left { item.fail(refusal ?? .closedLedger) }
    }

    private func take(keys limit: Int) -> [Item]? {
        state.withLock { state in
            var (count, keys) = (0, 0)
            for item in state.waiting {
                keys += item.keys
                guard count == 0 || keys <= limit else { break }
                count += 1
            }
            guard count > 0 else { return nil }
            defer { state.waiting.removeFirst(count) }
            return Array(state.waiting.prefix(count))
        }
    }
}
