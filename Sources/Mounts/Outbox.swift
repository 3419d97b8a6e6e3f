internal import NIOCore
internal import Synchronization

/// What waits to be sent, in two lanes: short answers, which never wait for room, and content, whose sender does.
///
/// The reader of the pipe only ever answers in the first lane. So it always goes on reading, and two sides that send
/// content to each other cannot block one another.
final class Outbox: Sendable {
    /// So much content waits here at most, besides what the pipe takes.
    private static let room = 256 << 10
    /// A peer that lets more answers than this wait does not read.
    private static let answerLimit = 8 << 20

    private struct State {
        var answers = ByteBuffer()
        var content = ByteBuffer()
        var isClosed = false
        var writer: CheckedContinuation<Void, Never>?
        var senders: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Sends an answer, ahead of waiting content.
    func answer(_ message: Message) throws(MountError) {
        let (writer, isTooMuch) = state.withLock { state in
            message.write(into: &state.answers)
            return (state.writer.take(), state.answers.readableBytes > Self.answerLimit)
        }
        writer?.resume()
        if isTooMuch { throw .violation("the mount's other side does not read what it asks for") }
    }

    func send(_ message: Message) async throws(MountError) { try await send([message]) }

    /// Sends content; returns when there is room for more.
    func send(_ messages: [Message]) async throws(MountError) {
        guard !messages.isEmpty else { return }
        let (writer, isClosed) = state.withLock { state in
            for message in messages { message.write(into: &state.content) }
            return (state.writer.take(), state.isClosed)
        }
        writer?.resume()
        if isClosed { throw MountError(.stopped, "the mount has been ended") }
        await withCheckedContinuation { continuation in
            let mayGoOn = state.withLock { state in
                if state.isClosed || state.content.readableBytes < Self.room { return true }
                state.senders.append(continuation)
                return false
            }
            if mayGoOn { continuation.resume() }
        }
    }

    /// The next bytes for the pipe; nil at the end. Called by one task.
    func next() async -> ByteBuffer? {
        while true {
            let (bytes, isClosed, senders) = state.withLock { state in take(&state) }
            for sender in senders { sender.resume() }
            if let bytes { return bytes }
            if isClosed { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isClosed || state.answers.readableBytes + state.content.readableBytes > 0 { return true }
                    state.writer = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }

    private func take(_ state: inout State) -> (ByteBuffer?, Bool, [CheckedContinuation<Void, Never>]) {
        var bytes: ByteBuffer?
        if state.answers.readableBytes > 0 {
            bytes = state.answers
            state.answers = ByteBuffer()
        } else if state.content.readableBytes > 0 {
            bytes = state.content
            state.content = ByteBuffer()
        }
        let senders = state.senders
        state.senders = []
        return (bytes, state.isClosed, senders)
    }

    /// Nothing more is taken; those who wait go on.
    func close() {
        let (writer, senders) = state.withLock { state in
            state.isClosed = true
            defer { state.senders = [] }
            return (state.writer.take(), state.senders)
        }
        writer?.resume()
        for sender in senders { sender.resume() }
    }
}
