internal import NIOCore
package import NIOPosix
internal import Synchronization

/// One mount while its container lives: keeps a folder or file at two machines the same. Each machine runs one end.
///
/// The origin compares, decides, and holds the base from which changes are told apart; the target tells and does.
package final class MountSession: Sendable {
    let side: MountSide
    let root: MountRoot
    let options: MountOptions
    let pipe: any MountPipe
    private let notice: @Sendable (MountNotice) -> Void
    let progress: @Sendable (MountProgress) -> Void
    let work: FileWork
    let inbox = Inbox()
    let outbox = Outbox()
    let replies = Replies()
    let tickets = Tickets()
    let meter = Meter()
    let stop = StopFlag()
    private let failure = Mutex<MountError?>(nil)
    /// Whether both sides wish what follows the first messages to be compressed; known before anything follows.
    private let isCompressed = Mutex(false)
    /// The other side's first message.
    private let hellos: AsyncStream<Message.Hello>
    let hello: AsyncStream<Message.Hello>.Continuation

    /// - Parameters:
    ///   - pool: For all file work; has been started by the caller, who also shuts it down, after `run` has returned.
    ///   - notice: Called with what a person should know, on any thread.
    ///   - progress: Called while things travel, on any thread.
    package init(
        side: MountSide, root: MountRoot, options: MountOptions, pipe: any MountPipe, pool: NIOThreadPool,
        notice: @escaping @Sendable (MountNotice) -> Void = { _ in },
        progress: @escaping @Sendable (MountProgress) -> Void = { _ in }
    ) {
        self.side = side
        self.root = root
        self.options = options
        self.pipe = pipe
        self.notice = notice
        self.progress = progress
        work = FileWork(pool: pool)
        (hellos, hello) = AsyncStream.makeStream()
    }

    /// Serves the mount until the pipe ends or the task is cancelled; both sides call it, once.
    ///
    /// Returns after a regular end. Leaves no temporary files behind in either case.
    package func run() async throws(MountError) {
        await withTaskCancellationHandler {
            await serve()
        } onCancel: {
            end(nil)
        }
        let error = failure.withLock { $0 }
        tickets.close(error ?? MountError(.stopped, "the mount has been ended"))
        if let error { throw error }
    }

    /// Returns when every change that was made at either side before the call is at both. At the origin only.
    ///
    /// - Throws: `.incomplete` where single paths could not be brought over, and the session goes on; otherwise why the
    ///   session has ended.
    package func synchronise() async throws(MountError) {
        guard side == .origin else {
            throw MountError(.invalid, "only the origin's side of a mount can bring both sides together")
        }
        try await tickets.wait { inbox.push(.synchronise) }
    }

    private func serve() async {
        let wasLarge = await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.write() }
            group.addTask { await self.read() }
            var wasLarge = false
            await attempt { () async throws(MountError) in
                let replica = try await greet()
                await work(with: replica)
                wasLarge = replica.isLarge
                // What was agreed lasts, also when the session ends badly.
                try await work.run { () throws(MountError) in
                    replica.dropArrivals()
                    try replica.save()
                }
            }
            end(nil)
            group.cancelAll()
            return wasLarge
        }
        if wasLarge { await work.trim() }
    }

    /// Runs `body`; its failure becomes the session's.
    func attempt(_ body: () async throws(MountError) -> Void) async {
        do throws(MountError) { try await body() } catch { end(error) }
    }

    var compresses: Bool { isCompressed.withLock { $0 } }
    func setCompresses() { isCompressed.withLock { $0 = true } }

    /// Wakes everyone who waits. Only the first failure counts: the others come of it.
    func end(_ error: MountError?) {
        if let error, !stop.isSet {
            failure.withLock { failure in
                if failure == nil { failure = error }
            }
        }
        stop.set()
        hello.finish()
        inbox.close()
        outbox.close()
        replies.close()
    }

    /// Opens the root and makes out with the other side what both can.
    private func greet() async throws(MountError) -> Replica {
        let isPrivileged = Self.isPrivileged
        var root: RootFolder?
        if side == .origin { root = try await open(isFile: nil) }
        try outbox.answer(
            .hello(
                Message.Hello(
                    side: side, isFile: root?.isFile ?? false, isPrivileged: isPrivileged,
                    compresses: options.compresses)))
        guard let theirs = await hellos.first(where: { _ in true }) else {
            throw MountError(.pipe, "the other side of the mount has gone before it said anything")
        }
        guard theirs.side != side else { throw .violation("both sides of the mount are its \(side)") }
        let opened: RootFolder
        if let root { opened = root } else { opened = try await open(isFile: theirs.isFile) }
        let watch = try? FolderWatch()
        if watch == nil { notice(.watchLimited(reason: "the system gives no more inotify instances")) }
        return try Replica(
            side: side, options: options, root: opened, isPrivileged: isPrivileged,
            // Only the target's rights count: it is the one that lists its whole tree.
            owners: side == .target ? isPrivileged : theirs.isPrivileged, watch: watch, stop: stop, notice: notice)
    }
}
