import NIOCore

/// How containers ended, as the engine's events told; kept beyond the containers themselves.
@NodeLoop
package final class ExitCodes {
    private static let limit = 4096
    /// How long an event may be behind an answer on another connection: Podman's come through a file.
    private static let patience = TimeAmount.seconds(2)

    /// nil for one that went without having ended.
    private var known: [String: Int64?] = [:]
    private var waiting: [String: [EventLoopPromise<Int64?>]] = [:]

    package nonisolated init() {}

    /// - Parameter code: nil when the container is gone; what it ended with before is kept.
    package func put(_ code: Int64?, of id: String) {
        if known.count >= Self.limit { known = [:] }
        let final = code ?? known[id] ?? nil
        known[id] = .some(final)
        for promise in waiting.removeValue(forKey: id) ?? [] { promise.succeed(final) }
    }

    /// It runs again.
    package func forget(_ id: String) { known[id] = nil }

    /// What is known now.
    package func known(_ id: String) -> Int64? { known[id] ?? nil }

    /// Waits for the event, but not for long.
    package func code(of id: String) async -> Int64? {
        if let code = known[id] { return code }
        let loop = NodeLoop.shared.loop
        let promise = loop.makePromise(of: Int64?.self)
        waiting[id, default: []].append(promise)
        let timer = loop.scheduleTask(in: Self.patience) { promise.succeed(nil) }
        defer { timer.cancel() }
        // The promise is only ever fulfilled.
        return (try? await promise.futureResult.get()) ?? nil
    }
}
