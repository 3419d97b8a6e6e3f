internal import Engine
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
