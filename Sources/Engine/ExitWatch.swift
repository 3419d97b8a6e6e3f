import Glibc
package import NIOCore
import NIOPosix
import Synchronization

/// Tells when a container's first process ends, straight from the kernel and before the engine's own event.
///
/// It rests on pidfds, which need Linux 5.3, the right to see the process, and its PID namespace. Where any of these is missing
/// `watch` says so, and the caller has to be content with the engine's events.
package final class ExitWatch: Sendable {
    package enum Outcome: Sendable, Hashable {
        /// The callback will come once, unless `cancel` is called first.
        case watching(Token)
        /// No process of that container has that id here: it is gone, or another PID namespace's.
        case notVisible
        /// This kernel or this sandbox has no pidfds.
        case unavailable(errno: Int32)
    }

    package struct Token: Sendable, Hashable {
        fileprivate let id: UInt64
    }

    private struct Watched {
        let descriptor: Int32
        let exited: @Sendable (Double) -> Void
    }

    private struct State {
        /// Both ends of the pipe that interrupts the thread's wait when the set has changed; -1 until the thread runs.
        var wakeRead: Int32 = -1
        var wakeWrite: Int32 = -1
        var nextID: UInt64 = 1
        var watched: [UInt64: Watched] = [:]
        /// Descriptors that nobody asks for any more. The thread closes them, since it may be waiting on them.
        var retired: [Int32] = []
        var isStopped = false
    }

    private let loop: any EventLoop
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())

    /// - Parameter loop: Where callbacks run.
    package init(loop: any EventLoop) { self.loop = loop }

    /// Begins to watch.
    ///
    /// - Parameters:
    ///   - pid: `State.Pid` of the container's inspection.
    ///   - containerID: The process has to be in this container's cgroup, so that no other process with the number is taken
    ///     for it; nil to trust the number.
    ///   - exited: Called on the loop with the time of the exit, in seconds since 1970.
    package func watch(
        pid: Int32, containerID: String?, exited: @escaping @Sendable (Double) -> Void
    ) -> Outcome {
        guard pid > 0 else { return .notVisible }
        let descriptor = Pidfd.open(pid)
        guard descriptor >= 0 else { return -descriptor == ESRCH ? .notVisible : .unavailable(errno: -descriptor) }
        if let containerID, !Pidfd.isProcess(pid, of: containerID) {
            close(descriptor)
            return .notVisible
        }
        let outcome = state.withLock { state in register(descriptor, exited, in: &state) }
        if case .watching = outcome {} else { close(descriptor) }
        return outcome
    }

    private func register(
        _ descriptor: Int32, _ exited: @escaping @Sendable (Double) -> Void, in state: inout State
    ) -> Outcome {
        guard !state.isStopped else { return .unavailable(errno: ECANCELED) }
        guard start(&state) else { return .unavailable(errno: errno) }
        let id = state.nextID
        state.nextID += 1
        state.watched[id] = Watched(descriptor: descriptor, exited: exited)
        wake(state)
        return .watching(Token(id: id))
    }

    /// Forgets a watch; its callback does not come any more, unless it is under way.
    package func cancel(_ token: Token) {
        state.withLock { state in
            guard let watched = state.watched.removeValue(forKey: token.id) else { return }
            state.retired.append(watched.descriptor)
            wake(state)
        }
    }

    /// Ends the watching thread and forgets every watch.
    package func stop() {
        state.withLock { state in
            state.isStopped = true
            wake(state)
        }
        pool.shutdownGracefully { _ in }
    }

    private func wake(_ state: State) {
        guard state.wakeWrite >= 0 else { return }
        var byte: UInt8 = 0
        // A full pipe wakes the thread just as well.
        _ = write(state.wakeWrite, &byte, 1)
    }

    /// Starts the thread with the first watch: a node without containers has none.
    private func start(_ state: inout State) -> Bool {
        if state.wakeRead >= 0 { return true }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return false }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (state.wakeRead, state.wakeWrite) = (ends[0], ends[1])
        pool.start()
        pool.submit { _ in self.follow() }
        return true
    }

    /// The thread: waits for any of the processes to end, or for the set to change.
    private func follow() {
        while let (ids, descriptors) = waitingSet() {
            var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
            let time = now()
            if polled[0].revents != 0 { drain(polled[0].fd) }
            for (id, entry) in zip(ids, polled.dropFirst()) where entry.revents != 0 {
                guard let watched = state.withLock({ $0.watched.removeValue(forKey: id) }) else { continue }
                close(watched.descriptor)
                loop.execute { watched.exited(time) }
            }
        }
    }

    /// What to wait for, the wake pipe first; nil once stopped.
    private func waitingSet() -> (ids: [UInt64], descriptors: [Int32])? {
        state.withLock { state in
            for descriptor in state.retired { close(descriptor) }
            state.retired = []
            guard !state.isStopped else {
                for watched in state.watched.values { close(watched.descriptor) }
                state.watched = [:]
                close(state.wakeRead)
                close(state.wakeWrite)
                (state.wakeRead, state.wakeWrite) = (-1, -1)
                return nil
            }
            let entries = Array(state.watched)
            return (entries.map(\.key), [state.wakeRead] + entries.map(\.value.descriptor))
        }
    }

    private func drain(_ descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 256)
        while read(descriptor, &bytes, bytes.count) > 0 {}
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
