import Glibc
package import NIOCore
import NIOPosix
import Synchronization

/// Tells when a container's first process begins, straight from the kernel and before the engine's own event.
///
/// It rests on eBPF programs: on libbpf, on the right to load programs, and on a kernel that describes its types. Where any of
/// these is missing it says so once, and the caller has to be content with the engine's events. Containers without a PID
/// namespace of their own are not told of.
package final class StartWatch: Sendable {
    package struct Start: Sendable, Hashable {
        package let containerID: String
        package let pid: Int32
        /// Seconds since 1970.
        package let time: Double

        package init(containerID: String, pid: Int32, time: Double) {
            self.containerID = containerID
            self.pid = pid
            self.time = time
        }
    }

    package enum Notice: Sendable {
        /// From now on starts are told.
        case following
        /// None will be.
        case refused(KernelRefusal)
        case started(Start)
    }

    private struct State {
        /// Both ends of the pipe that ends the thread; -1 until it runs.
        var wakeRead: Int32 = -1
        var wakeWrite: Int32 = -1
        var isStopped = false
    }

    private let loop: any EventLoop
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())

    /// - Parameter loop: where notices are told.
    package init(loop: any EventLoop) { self.loop = loop }

    /// Tries all that a watch does, and undoes it: nil where it works.
    package static func probe() -> KernelRefusal? {
        do throws(KernelRefusal) {
            _ = try StartPrograms()
            return nil
        } catch {
            return error
        }
    }

    /// Begins to watch, on a thread of its own; to be called once.
    package func begin(_ told: @escaping @Sendable (Notice) -> Void) {
        pool.start()
        pool.submit { [self] _ in
            do throws(KernelRefusal) {
                let programs = try StartPrograms()
                guard let wake = openWake() else { return }
                loop.execute { told(.following) }
                try programs.follow(wake: wake) { record in
                    guard let start = Self.start(record) else { return }
                    loop.execute { told(.started(start)) }
                }
                closeWake()
            } catch {
                closeWake()
                loop.execute { told(.refused(error)) }
            }
        }
    }

    /// Ends the thread, and with it the programs.
    package func stop() {
        state.withLock { state in
            state.isStopped = true
            var byte: UInt8 = 0
            if state.wakeWrite >= 0 { _ = write(state.wakeWrite, &byte, 1) }
        }
        pool.shutdownGracefully { _ in }
    }

    private func openWake() -> Int32? {
        state.withLock { state in
            var ends: [Int32] = [-1, -1]
            guard !state.isStopped, pipe(&ends) == 0 else { return nil }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            (state.wakeRead, state.wakeWrite) = (ends[0], ends[1])
            return ends[0]
        }
    }

    private func closeWake() {
        state.withLock { state in
            for end in [state.wakeRead, state.wakeWrite] where end >= 0 { close(end) }
            (state.wakeRead, state.wakeWrite) = (-1, -1)
        }
    }

    /// Whose start it is; nil for a namespace that no engine has made.
    private static func start(_ record: StartPrograms.Record) -> Start? {
        // A runtime that makes the process inside its group puts nothing into it.
        let id =
            ContainerGroups.container(ofPath: record.path)
            ?? Pidfd.text("/proc/\(record.pid)/cgroup").flatMap(ContainerGroups.container(ofProcessGroups:))
        guard let id else { return nil }
        return Start(containerID: id, pid: record.pid, time: now(at: record.time))
    }

    /// The time of day at a moment of the monotonic clock.
    private static func now(at nanoseconds: UInt64) -> Double {
        var (day, monotonic) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &day)
        clock_gettime(CLOCK_MONOTONIC, &monotonic)
        let since = Double(monotonic.tv_sec) + Double(monotonic.tv_nsec) / 1e9 - Double(nanoseconds) / 1e9
        return Double(day.tv_sec) + Double(day.tv_nsec) / 1e9 - since
    }
}
