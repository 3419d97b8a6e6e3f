import Glibc
package import NIOCore
import NIOPosix
import Synchronization

/// Tells when a container's first process ends and how, and when the kernel kills for want of memory, straight from the kernel
/// and before the engine's own events.
///
/// It rests on pidfds, which need Linux 5.3, the right to see the process, and its PID namespace. Where any of these is missing
/// `watch` says so, and the caller has to be content with the engine's events. One thread waits for all of them, and for nothing
/// else: an idle node has no wake-ups.
package final class ExitWatch: Sendable {
    package enum Outcome: Sendable, Hashable {
        /// The callback will come, with the exit last, unless `cancel` is called first.
        case watching(Token)
        /// No process of that container has that id here: it is gone, or another PID namespace's.
        case notVisible
        /// This kernel or this sandbox has no pidfds.
        case unavailable(errno: Int32)
    }

    package struct Token: Sendable, Hashable {
        fileprivate let id: UInt64
    }

    package enum Notice: Sendable, Hashable {
        /// A process of the container was killed for want of memory; before the exit where that was its first.
        case outOfMemory
        /// - Parameters:
        ///   - time: seconds since 1970.
        ///   - code: as an engine gives it; nil where the kernel does not say.
        case exited(time: Double, code: Int32?)
    }

    private struct Watched {
        let pid: Int32
        let descriptor: Int32
        var memory: MemoryEvents?
        /// How often the memory group is looked at again, since it has signalled what may still have to happen.
        var looksLeft = 0
        let told: @Sendable (Notice) -> Void

        func closeAll() {
            close(descriptor)
            memory?.closeAll()
        }
    }

    private struct State {
        /// Both ends of the pipe that interrupts the thread's wait when the set has changed; -1 until the thread runs.
        var wakeRead: Int32 = -1
        var wakeWrite: Int32 = -1
        var nextID: UInt64 = 1
        var watched: [UInt64: Watched] = [:]
        /// What nobody asks for any more. The thread closes them, since it may be waiting on them.
        var retired: [Watched] = []
        var isStopped = false
    }

    /// What one wait is for.
    private struct WaitingSet {
        var polled: [pollfd]
        /// Whose each descriptor is, the wake pipe left out.
        var entries: [(id: UInt64, isMemory: Bool)] = []
        /// Of which groups the counts are looked at after the next wait, whatever it brings.
        var looks: [UInt64] = []
    }

    private static let looks = 5
    private static let lookMilliseconds: Int32 = 20

    private let loop: any EventLoop
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())

    /// - Parameter loop: Where callbacks run.
    package init(loop: any EventLoop) { self.loop = loop }

    /// Whether this kernel has pidfds, and this process may use them: tried on the process itself.
    /// - Returns: 0, or the error number.
    package static func probe() -> Int32 {
        let descriptor = Pidfd.open(getpid())
        guard descriptor >= 0 else { return -descriptor }
        close(descriptor)
        return 0
    }

    /// Begins to watch.
    ///
    /// - Parameters:
    ///   - pid: `State.Pid` of the container's inspection.
    ///   - containerID: The process has to be in this container's cgroup, so that no other process with the number is taken
    ///     for it; nil to trust the number.
    ///   - memory: The container's memory group; nil not to watch it.
    ///   - told: Called on the loop.
    package func watch(
        pid: Int32, containerID: String?, memory: MemoryGroup? = nil, told: @escaping @Sendable (Notice) -> Void
    ) -> Outcome {
        guard pid > 0 else { return .notVisible }
        let descriptor = Pidfd.open(pid)
        guard descriptor >= 0 else { return -descriptor == ESRCH ? .notVisible : .unavailable(errno: -descriptor) }
        if let containerID, !Pidfd.isProcess(pid, of: containerID) {
            close(descriptor)
            return .notVisible
        }
        let watched = Watched(pid: pid, descriptor: descriptor, memory: memory?.open(), told: told)
        let outcome = state.withLock { state in register(watched, in: &state) }
        if case .watching = outcome {} else { watched.closeAll() }
        return outcome
    }

    private func register(_ watched: Watched, in state: inout State) -> Outcome {
        guard !state.isStopped else { return .unavailable(errno: ECANCELED) }
        guard start(&state) else { return .unavailable(errno: errno) }
        let id = state.nextID
        state.nextID += 1
        state.watched[id] = watched
        wake(state)
        return .watching(Token(id: id))
    }

    /// Forgets a watch; its callback does not come any more, unless it is under way.
    package func cancel(_ token: Token) {
        state.withLock { state in
            guard let watched = state.watched.removeValue(forKey: token.id) else { return }
            state.retired.append(watched)
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

    // MARK: - The thread

    /// Waits for any of the processes to end, for a group's signal, or for the set to change.
    private func follow() {
        while var set = waitingSet() {
            let patience = set.looks.isEmpty ? -1 : Self.lookMilliseconds
            guard poll(&set.polled, nfds_t(set.polled.count), patience) >= 0 else { continue }
            let time = now()
            if set.polled[0].revents != 0 { drain(set.polled[0].fd) }
            var signalled: [UInt64] = []
            var ended: [UInt64] = []
            for (entry, polled) in zip(set.entries, set.polled.dropFirst()) where polled.revents != 0 {
                if entry.isMemory { signalled.append(entry.id) } else { ended.append(entry.id) }
            }
            for id in ended { end(id, time) }
            for id in signalled { lookAtMemory(id, isSignalled: true) }
            for id in set.looks where !signalled.contains(id) { lookAtMemory(id, isSignalled: false) }
        }
    }

    private func lookAtMemory(_ id: UInt64, isSignalled: Bool) {
        let told = state.withLock { state -> (@Sendable (Notice) -> Void)? in
            guard var watched = state.watched[id], let news = watched.memory?.take() else { return nil }
            switch news {
            case .none: watched.looksLeft = isSignalled ? Self.looks : watched.looksLeft - 1
            case .killed: watched.looksLeft = 0
            case .over:
                watched.looksLeft = 0
                watched.memory?.closeAll()
                watched.memory = nil
            }
            state.watched[id] = watched
            return news == .killed ? watched.told : nil
        }
        if let told { loop.execute { told(.outOfMemory) } }
    }

    private func end(_ id: UInt64, _ time: Double) {
        guard var watched = state.withLock({ $0.watched.removeValue(forKey: id) }) else { return }
        let code = Pidfd.waitStatus(watched.descriptor, pid: watched.pid).map(Pidfd.exitCode)
        // What kills counts first.
        let isOutOfMemory = watched.memory?.take() == .killed
        watched.closeAll()
        let told = watched.told
        loop.execute {
            if isOutOfMemory { told(.outOfMemory) }
            told(.exited(time: time, code: code))
        }
    }

    /// What to wait for, the wake pipe first; nil once stopped.
    private func waitingSet() -> WaitingSet? {
        state.withLock { state in
            for watched in state.retired { watched.closeAll() }
            state.retired = []
            guard !state.isStopped else {
                for watched in state.watched.values { watched.closeAll() }
                state.watched = [:]
                close(state.wakeRead)
                close(state.wakeWrite)
                (state.wakeRead, state.wakeWrite) = (-1, -1)
                return nil
            }
            var set = WaitingSet(polled: [pollfd(fd: state.wakeRead, events: Int16(POLLIN), revents: 0)])
            set.polled.reserveCapacity(1 + 2 * state.watched.count)
            for (id, watched) in state.watched {
                set.polled.append(pollfd(fd: watched.descriptor, events: Int16(POLLIN), revents: 0))
                set.entries.append((id, false))
                if watched.looksLeft > 0 { set.looks.append(id) }
                guard let memory = watched.memory else { continue }
                set.polled.append(memory.polled)
                set.entries.append((id, true))
            }
            return set
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
