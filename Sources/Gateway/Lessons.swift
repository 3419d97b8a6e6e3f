/// Runs that have ended and are to be remembered, on their way to the ledger. Best effort: too many at once are forgotten.
final class Lessons: Sendable {
    /// Its work is in seconds of a reference core.
    typealias Run = (key: String, coreSeconds: Double)

    let stream: AsyncStream<[Run]>
    private let continuation: AsyncStream<[Run]>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1024)) }

    func add(_ runs: [Run]) { continuation.yield(runs) }
    func finish() { continuation.finish() }
}
