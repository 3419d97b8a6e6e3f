import GRDB
import Synchronization

/// One writer for many callers: it puts everything that waits into one transaction, so that a thousand writes cost one
/// `fsync`, and answers each caller only after that.
///
/// A write that fails takes no other with it: the transaction is undone and each of its writes gets one of its own.
final class GroupCommit: Sendable {
    /// One caller's write.
    private struct Item: Sendable {
        /// Does the work, perhaps twice, and returns how to tell the caller.
        let run: @Sendable (Database) throws -> @Sendable () -> Void
        let fail: @Sendable (LedgerError) -> Void
    }

    private struct State {
        var waiting: [Item] = []
        var isDraining = false
        var isClosed = false
    }

    /// More than this many writes are not put into one transaction: the first of them should not wait for long.
    private static let largestBatch = 2048

    private let database: any DatabaseWriter
    private let describe: @Sendable (any Error) -> LedgerError
    private let undone: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameter undone: called by the writer after a transaction that was undone.
    init(
        _ database: any DatabaseWriter, describe: @escaping @Sendable (any Error) -> LedgerError,
        undone: @escaping @Sendable () -> Void = {}
    ) {
        self.database = database
        self.describe = describe
        self.undone = undone
    }

    /// Does `work` in a transaction that it shares with others, and returns when that is durable.
    ///
    /// - Parameter work: may be done twice; throws only when the database fails. A refusal that is the caller's own
    ///   affair is returned as a failure, before anything was written.
    func write<Value: Sendable>(
        _ work: @escaping @Sendable (Database) throws -> Result<Value, LedgerError>
    ) async throws(LedgerError) -> Value {
        let result: Result<Value, LedgerError> = await withCheckedContinuation { continuation in
            submit(
                Item(
                    run: { database in
                        let value = try work(database)
                        return { continuation.resume(returning: value) }
                    },
                    fail: { continuation.resume(returning: .failure($0)) }))
        }
        return try result.get()
    }

    /// As `write` for each of several works, which wait for one another but do not fail for one another.
    func write<Value: Sendable>(
        each works: [@Sendable (Database) throws -> Value]
    ) async -> [Result<Value, LedgerError>] {
        guard !works.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let gathering = Gathering(count: works.count, continuation)
            submit(
                works.enumerated().map { index, work in
                    Item(
                        run: { database in
                            let value = try work(database)
                            return { gathering.settle(index, .success(value)) }
                        },
                        fail: { gathering.settle(index, .failure($0)) })
                })
        }
    }

    /// As `write`, for housekeeping that nobody waits for: should it fail, it is done next time.
    func enqueue(_ work: @escaping @Sendable (Database) throws -> Void) {
        submit(
            Item(
                run: { database in
                    try work(database)
                    return {}
                }, fail: { _ in }))
    }

    /// Refuses what comes from now on, and returns when what came before is done.
    func close() async {
        await withCheckedContinuation { continuation in
            submit(Item(run: { _ in { continuation.resume() } }, fail: { _ in continuation.resume() }), isLast: true)
        }
    }

    private func submit(_ item: Item, isLast: Bool = false) { submit([item], isLast: isLast) }

    private func submit(_ items: [Item], isLast: Bool = false) {
        let (isRefused, mustStart) = state.withLock { state in
            if state.isClosed { return (true, false) }
            state.isClosed = isLast
            state.waiting += items
            defer { state.isDraining = true }
            return (false, !state.isDraining)
        }
        if isRefused {
            for item in items { item.fail(LedgerError(.closed, "the ledger was closed; the gateway is stopping")) }
        }
        if mustStart { database.asyncWriteWithoutTransaction { self.drain(into: $0) } }
    }

    private func drain(into database: Database) {
        while true {
            let batch = state.withLock { state -> [Item] in
                guard !state.waiting.isEmpty else {
                    state.isDraining = false
                    return []
                }
                if state.waiting.count <= Self.largestBatch {
                    defer { state.waiting = [] }
                    return state.waiting
                }
                defer { state.waiting.removeFirst(Self.largestBatch) }
                return Array(state.waiting.prefix(Self.largestBatch))
            }
            if batch.isEmpty { return }
            commit(batch, into: database)
        }
    }

    private func commit(_ batch: [Item], into database: Database) {
        do {
            var answers: [@Sendable () -> Void] = []
            answers.reserveCapacity(batch.count)
            try database.inTransaction(.immediate) {
                for item in batch { answers.append(try item.run(database)) }
                return .commit
            }
            for answer in answers { answer() }
        } catch {
            undone()
            if batch.count == 1 {
                batch[0].fail(describe(error))
            } else {
                for item in batch { commit([item], into: database) }
            }
        }
    }
}

/// The outcomes of writes that one caller waits for together.
private final class Gathering<Value: Sendable>: Sendable {
    private struct State {
        var results: [Result<Value, LedgerError>?]
        var left: Int
    }

    private let state: Mutex<State>
    private let continuation: CheckedContinuation<[Result<Value, LedgerError>], Never>

    init(count: Int, _ continuation: CheckedContinuation<[Result<Value, LedgerError>], Never>) {
        state = Mutex(State(results: Array(repeating: nil, count: count), left: count))
        self.continuation = continuation
    }

    /// Each once; the last one wakes the caller.
    func settle(_ index: Int, _ result: Result<Value, LedgerError>) {
        let all = state.withLock { state in
            state.results[index] = result
            state.left -= 1
            return state.left == 0 ? state.results.compactMap(\.self) : nil
        }
        if let all { continuation.resume(returning: all) }
    }
}
