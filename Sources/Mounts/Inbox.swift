internal import Synchronization

/// What a side's main task has to deal with, in order.
final class Inbox: Sendable {
    enum Event: Sendable {
        case message(Message)
        /// Something changed in this side's tree.
        case changed
        /// A shipment that came to nothing here.
        case unsent(UInt32)
        /// Someone waits for both sides to be the same.
        case synchronise
        /// The pipe has ended.
        case ended
    }

    /// The pipe's reader waits when so many bytes of messages do.
    private static let room = 512 << 10

    private struct State {
        var events: [Event] = []
        var size = 0
        var isClosed = false
        var consumer: CheckedContinuation<Void, Never>?
        var reader: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func push(_ event: Event) {
        let consumer = state.withLock { state in
            if !state.isClosed { state.events.append(event) }
            return state.consumer.take()
        }
        consumer?.resume()
    }

    /// Returns when there is room for more messages. Called by one task, the pipe's reader.
    /// - Parameter size: How many bytes the messages last pushed took.
    func waitForRoom(after size: Int) async {
        await withCheckedContinuation { continuation in
            let hasRoom = state.withLock { state in
                state.size += size
                if state.isClosed || state.size < Self.room { return true }
                state.reader = continuation
                return false
            }
            if hasRoom { continuation.resume() }
        }
    }

    /// Everything that waits, at least one event; empty after the end. Called by one task.
    func next() async -> [Event] {
        while true {
            let (events, isClosed, reader) = state.withLock { state in
                defer { (state.events, state.size) = ([], 0) }
                return (state.events, state.isClosed, state.reader.take())
            }
            reader?.resume()
            if !events.isEmpty || isClosed { return events }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isClosed || !state.events.isEmpty { return true }
                    state.consumer = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }

    func close() {
        let (consumer, reader) = state.withLock { state in
            state.isClosed = true
            return (state.consumer.take(), state.reader.take())
        }
        consumer?.resume()
        reader?.resume()
    }
}
