import Fleet
import NIOCore

/// Keeps the order that an origin relies on when it answers `attach` and `wait` early: both before the `start` behind them.
///
/// Each travels on a stream of its own, so the engine could see the start first, and the first output would be lost.
struct StartOrder {
    /// How long a start is held at most.
    static let bound: TimeAmount = .seconds(10)

    /// One attach or wait whose response head has not come yet. `done` is idempotent.
    final class Token: Sendable {
        fileprivate let promise: EventLoopPromise<Void>
        fileprivate init(_ promise: EventLoopPromise<Void>) { self.promise = promise }
    }

    private var open: [WorkloadID: [Token]] = [:]

    /// To be called when the request's head has arrived, and followed by `end` whatever becomes of it.
    mutating func begin(_ workload: WorkloadID, on loop: any EventLoop) -> Token {
        let token = Token(loop.makePromise())
        open[workload, default: []].append(token)
        return token
    }

    mutating func end(_ token: Token, of workload: WorkloadID) {
        guard var tokens = open[workload], let index = tokens.firstIndex(where: { $0 === token }) else { return }
        tokens.remove(at: index)
        open[workload] = tokens.isEmpty ? nil : tokens
        token.promise.succeed()
    }

    /// Completes when every attach and wait that is open now has its head, or after the bound; nil when none is open.
    func clearance(of workload: WorkloadID, on loop: any EventLoop) -> EventLoopFuture<Void>? {
        guard let tokens = open[workload] else { return nil }
        let result = loop.makePromise(of: Void.self)
        let timer = loop.scheduleTask(in: Self.bound) { result.succeed() }
        EventLoopFuture.andAllComplete(tokens.map(\.promise.futureResult), on: loop).whenComplete { _ in
            timer.cancel()
            result.succeed()
        }
        return result.futureResult
    }

    var isEmpty: Bool { open.isEmpty }
}
