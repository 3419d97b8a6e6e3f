internal import Engine
internal import Fleet
internal import NIOCore

/// Tells everybody who watches something that it has changed, and when it has ended.
@NodeLoop
final class News {
    private var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
    private var next = 0
    private var hasEnded = false

    nonisolated init() {}

    func tell() {
        for watcher in watchers.values { watcher.yield() }
    }

    func end() {
        hasEnded = true
        for watcher in watchers.values { watcher.finish() }
        watchers = [:]
    }

    /// Yields at once and then whenever there is news; ends with what is watched.
    func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        guard !hasEnded else {
            continuation.finish()
            return stream
        }
        continuation.yield()
        let watcher = next
        next += 1
        watchers[watcher] = continuation
        continuation.onTermination = { [weak self] _ in
            NodeLoop.shared.loop.execute { NodeLoop.assumeIsolated { self?.watchers[watcher] = nil } }
        }
        return stream
    }

    /// Waits for the end, for as long as there is some news within `patience`.
    func wait(patience: Duration) async {
        try? await whileHeard(within: patience) { [self] ear in
            for await _ in changes() { ear.hear() }
        }
    }
}

/// Notes when something was heard last.
@NodeLoop
final class Ear {
    private var heardAt = ContinuousClock.now
    nonisolated init() {}

    func hear() { heardAt = .now }

    /// Returns when nothing has been heard for so long.
    fileprivate func miss(for patience: Duration) async throws {
        while ContinuousClock.now < heardAt + patience {
            try await ContinuousClock().sleep(until: heardAt + patience)
        }
    }
}

/// Runs `work`, and ends it where nothing has been heard for `patience`.
/// - Throws: `.unreachable` then; what `work` throws.
@NodeLoop
func whileHeard<T: Sendable>(
    within patience: Duration, _ work: @escaping @Sendable @NodeLoop (Ear) async throws -> T
) async throws -> T {
    let ear = Ear()
    return try await withThrowingTaskGroup(of: T?.self) { group in
        group.addTask { try await work(ear) }
        group.addTask {
            try await ear.miss(for: patience)
            return nil
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() ?? nil else {
            throw FrontDoorError(.unreachable, "nothing was heard for \(patience)")
        }
        return result
    }
}

/// A pull at another node that its client waits for.
@NodeLoop
final class AwayPull {
    let node: NodeID
    let news = News()
    init(node: NodeID) { self.node = node }
}
