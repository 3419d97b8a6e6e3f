import Fleet
import NIOCore

/// Keeps the order that an origin relies on when it answers `attach` and `wait` early: both before the `start` behind them.
///
/// Each travels on a stream of its own, so the engine could see the start first, and the first output would be lost.
struct StartOrder {
    /// How long a start is held at most.
    static let bound: TimeAmount = .seconds(10)

    /// One attach or wait whose response head has not come yet.
    final class Hold: Sendable {
        let workload: WorkloadID
        fileprivate let promise: EventLoopPromise<Void>

        fileprivate init(_ workload: WorkloadID, _ promise: EventLoopPromise<Void>) {
            self.workload = workload
            self.promise = promise
        }
    }

    private var open: [WorkloadID: [Hold]] = [:]

    /// To be called when the request's head has arrived, and followed by `end` whatever becomes of it.
    mutating func begin(_ workload: WorkloadID, on loop: any EventLoop) -> Hold {
        let hold = Hold(workload, loop.makePromise())
        open[workload, default: []].append(hold)
        return hold
    }

    /// Idempotent.
    mutating func end(_ hold: Hold) {
        guard var holds = open[hold.workload], let index = holds.firstIndex(where: { $0 === hold }) else { return }
        holds.remove(at: index)
        open[hold.workload] = holds.isEmpty ? nil : holds
        hold.promise.succeed()
    }

    /// Completes when every attach and wait that is open now has its head, or after the bound; nil when none is open.
    func clearance(of workload: WorkloadID, on loop: any EventLoop) -> EventLoopFuture<Void>? {
        guard let holds = open[workload] else { return nil }
        let result = loop.makePromise(of: Void.self)
        let timer = loop.scheduleTask(in: Self.bound) { result.succeed() }
        EventLoopFuture.andAllComplete(holds.map(\.promise.futureResult), on: loop).whenComplete { _ in
            timer.cancel()
            result.succeed()
        }
        return result.futureResult
    }

    var isEmpty: Bool { open.isEmpty }
}
