import Glibc
internal import NIOPosix
internal import Synchronization

/// Tells which folders of a tree have changed, from inotify. Its thread only waits; the scan asks for what it gathered.
final class FolderWatch: Sendable {
    private struct State {
        var paths: [Int32: TreePath] = [:]
        var changed: Set<TreePath> = []
        /// Why changes may have been missed.
        var gap: String?
        var isLimited = false
    }

    private static let events =
        UInt32(IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
        | UInt32(IN_DELETE_SELF | IN_MOVE_SELF) | UInt32(IN_ONLYDIR) | UInt32(IN_EXCL_UNLINK)

    private let inotify: Descriptor
    private let stopEnds: (read: Descriptor, write: Descriptor)
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    /// Yields when something has changed since the last time; several changes may be one.
    let signals: AsyncStream<Void>

    /// - Throws: Where the system gives no more watches to this user.
    init() throws(SystemFailure) {
        inotify = try Descriptor(inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)))
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw .last }
        stopEnds = (try Descriptor(ends[0]), try Descriptor(ends[1]))
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func start() {
        pool.start()
        pool.submit { [self] _ in wait() }
    }

    /// Ends the thread.
    func stop() {
        signal.finish()
        _ = write(stopEnds.write.number, [1], 1)
        pool.shutdownGracefully { _ in }
    }

    /// Watches an open folder; to be called before it is listed, so that nothing falls between.
    func add(_ folder: Descriptor, as path: TreePath) {
        // Through the descriptor: the path may lead elsewhere by now.
        let number = inotify_add_watch(inotify.number, "/proc/self/fd/\(folder.number)", Self.events)
        let code = errno
        state.withLock { state in
            if number >= 0 { state.paths[number] = path } else if code != ENOENT { state.isLimited = true }
        }
    }

    /// Whether some folders could not be watched.
    var isLimited: Bool { state.withLock(\.isLimited) }

    /// What has changed since the last call; `gap` says why everything has to be looked at.
    func take() -> (folders: Set<TreePath>, gap: String?) {
        state.withLock { state in
            defer { (state.changed, state.gap) = ([], nil) }
            return (state.changed, state.isLimited ? "not all folders can be watched" : state.gap)
        }
    }

    private func wait() {
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            var ready = [
                pollfd(fd: inotify.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stopEnds.read.number, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&ready, 2, -1) >= 0 || errno == EINTR else { return }
            if ready[1].revents != 0 { return }
            let count = read(inotify.number, &buffer, buffer.count)
            guard count > 0 else { continue }
            if note(buffer[..<count]) { signal.yield() }
        }
    }

    /// - Returns: Whether any of the events is a change.
    private func note(_ bytes: ArraySlice<UInt8>) -> Bool {
        let header = MemoryLayout<inotify_event>.size
        return state.withLock { state in
            var rest = bytes
            var isChange = false
            while rest.count >= header {
                let event = rest.withUnsafeBytes { $0.loadUnaligned(as: inotify_event.self) }
                let name = rest.dropFirst(header).prefix(Int(event.len)).prefix { $0 != 0 }
                rest = rest.dropFirst(header + Int(event.len))
                if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                    state.gap = "more changed at once than the system keeps events of"
                } else if event.mask & UInt32(IN_IGNORED) != 0 {
                    state.paths[event.wd] = nil
                    continue
                } else if TemporaryName.isOne(name) {
                    continue
                } else if let path = state.paths[event.wd] {
                    state.changed.insert(path)
                }
                isChange = true
            }
            return isChange
        }
    }
}
