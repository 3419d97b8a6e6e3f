import DockerAPI
import NIOCore

/// One request and its answer on a connection: what came and was not read yet, and who waits for it.
@NodeLoop
final class Exchange {
    private enum End {
        case complete
        case failed(EngineError)

        var result: Result<ByteBuffer?, EngineError> {
            switch self {
            case .complete: .success(nil)
            case .failed(let error): .failure(error)
            }
        }
    }

    let method: String
    private(set) var head: ResponseHead?
    private var pieces = CircularBuffer<ByteBuffer>()
    private var end: End?
    private var headWaiter: CheckedContinuation<Result<ResponseHead, EngineError>, Never>?
    private var pieceWaiter: CheckedContinuation<Result<ByteBuffer?, EngineError>, Never>?
    weak var connection: EngineConnection?
    /// Sends the request's body while the answer may already come.
    var pump: Task<Void, Never>?

    init(method: String) { self.method = method }

    /// Whether the reader wants bytes that are not here yet.
    var wantsBytes: Bool { end == nil && (head == nil || (pieceWaiter != nil && pieces.isEmpty)) }

    func awaitHead() async throws(EngineError) -> ResponseHead {
        try await cancellable { exchange in
            await withCheckedContinuation { waiter in
                if let head = exchange.head {
                    waiter.resume(returning: .success(head))
                } else if case .failed(let error) = exchange.end {
                    waiter.resume(returning: .failure(error))
                } else {
                    exchange.headWaiter = waiter
                    exchange.connection?.readIfWanted()
                }
            }
        }
    }

    func next() async throws(EngineError) -> ByteBuffer? {
        try await cancellable { exchange in
            await withCheckedContinuation { waiter in
                if let piece = exchange.pieces.popFirst() {
                    waiter.resume(returning: .success(piece))
                } else if let end = exchange.end {
                    waiter.resume(returning: end.result)
                } else if exchange.pieceWaiter != nil {
                    waiter.resume(returning: .failure(EngineError(.cancelled, "a body has one reader only")))
                } else {
                    exchange.pieceWaiter = waiter
                    exchange.connection?.readIfWanted()
                }
            }
        }
    }

    private func cancellable<T: Sendable>(
        _ body: @NodeLoop (Exchange) async -> Result<T, EngineError>
    ) async throws(EngineError) -> T {
        let result = await withTaskCancellationHandler {
            await body(self)
        } onCancel: {
            NodeLoop.shared.loop.execute { NodeLoop.assumeIsolated { self.cancel() } }
        }
        return try result.get()
    }

    func received(_ head: ResponseHead) {
        self.head = head
        headWaiter?.resume(returning: .success(head))
        headWaiter = nil
    }

    func received(_ piece: ByteBuffer) {
        if let waiter = pieceWaiter {
            pieceWaiter = nil
            waiter.resume(returning: .success(piece))
        } else {
            pieces.append(piece)
        }
    }

    func complete() { finish(.complete) }

    func fail(_ error: EngineError) { finish(.failed(error)) }

    /// The reader has no more interest: an unfinished exchange takes its connection with it.
    func cancel() {
        guard end == nil else { return }
        let error = EngineError(.cancelled, "the call was cancelled")
        fail(error)
        connection?.abandon(self)
    }

    private func finish(_ end: End) {
        guard self.end == nil else { return }
        self.end = end
        if case .failed(let error) = end {
            headWaiter?.resume(returning: .failure(error))
            headWaiter = nil
        }
        pieceWaiter?.resume(returning: end.result)
        pieceWaiter = nil
        // After the answer's end the rest of the request is of no use to anyone.
        pump?.cancel()
        pump = nil
    }
}
