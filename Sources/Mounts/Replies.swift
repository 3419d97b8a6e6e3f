internal import Synchronization

/// The answers that senders of large files wait for.
final class Replies: Sendable {
    private struct State {
        var answers: [UInt32: [UInt8]] = [:]
        var waiting: [UInt32: CheckedContinuation<[UInt8], Never>] = [:]
        /// Files whose senders may ask.
        var open: Set<UInt32> = []
        var isClosed = false
    }

    private let state = Mutex(State())

    func open(_ id: UInt32) { state.withLock { _ = $0.open.insert(id) } }

    func close(_ id: UInt32) {
        state.withLock { state in
            state.open.remove(id)
            state.answers[id] = nil
        }
    }

    /// Takes an answer in; one that nobody waits for is dropped.
    func deliver(_ flags: [UInt8], for id: UInt32) {
        let waiting = state.withLock { state -> CheckedContinuation<[UInt8], Never>? in
            if let waiting = state.waiting.removeValue(forKey: id) { return waiting }
            if state.open.contains(id) { state.answers[id] = flags }
            return nil
        }
        waiting?.resume(returning: flags)
    }

    /// The receiver's flags for the chunks last told of; none when it does not want the file.
    func next(for id: UInt32) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> [UInt8]? in
                if state.isClosed { return [] }
                if let answer = state.answers.removeValue(forKey: id) { return answer }
                state.waiting[id] = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in waiting.values { continuation.resume(returning: []) }
    }
}
