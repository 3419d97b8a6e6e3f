internal import Engine
internal import NIOCore

/// A request's body on its way from a client to a job, no more of it than the job has room for.
@NodeLoop
final class BodyFeed {
    /// Bytes that may wait for the job.
    private static let limit = 256 << 10

    private enum End { case whole, cut }

    private var pieces = CircularBuffer<ByteBuffer>()
    private var held = 0
    private var end: End?
    private var waiter: CheckedContinuation<Void, Never>?
    /// Told when there is room again.
    var drained: (() -> Void)?

    nonisolated init() {}

    var wantsMore: Bool { end == nil && held < Self.limit }
    /// Whether all of it has come.
    var isWhole: Bool { end == .whole }

    func push(_ piece: ByteBuffer) {
        pieces.append(piece)
        held += piece.readableBytes
        wake()
    }

    func finish() { close(.whole) }

    /// The client went away in the middle.
    func cut() { close(.cut) }

    /// The next piece; nil behind the last.
    /// - Throws: when the client has gone before the end.
    func next() async throws -> ByteBuffer? {
        while true {
            if let piece = pieces.popFirst() {
                held -= piece.readableBytes
                if end == nil { drained?() }
                return piece
            }
            switch end {
            case .whole: return nil
            case .cut: throw ChannelError.inputClosed
            case nil: await withCheckedContinuation { waiter = $0 }
            }
        }
    }

    private func close(_ how: End) {
        guard end == nil else { return }
        end = how
        wake()
    }

    private func wake() {
        waiter?.resume()
        waiter = nil
    }
}
