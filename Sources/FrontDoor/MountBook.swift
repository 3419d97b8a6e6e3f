internal import DockerAPI
internal import Engine
internal import Fleet
internal import Glibc
internal import Logging
internal import Mounts
internal import NIOCore
internal import NIOPosix
internal import Session

/// The bind mounts that are kept equal with their mirrors now; one session for each path and node, whoever uses it.
@NodeLoop
final class MountBook {
    struct Key: Hashable {
        var source: String
        var target: NodeID
    }

    private final class Entry {
        var users: Set<String> = []
        /// Callers who wait until both sides are the same.
        var waiting = 0
        /// Whether both sides have been the same once.
        var isComplete = false
        let tally = MountTally()
        /// Done when the session stands, or cannot.
        let session: EventLoopFuture<MountSession>
        /// Ends the session.
        var close: (() -> Void)?

        init(_ session: EventLoopFuture<MountSession>) { self.session = session }
    }

    private static let progressPause = Duration.seconds(5)

    private let settings: FrontDoorConfiguration.MountSettings
    private let logger: Logger
    private let start: (@escaping @Sendable @NodeLoop () async -> Void) -> Void
    private var entries: [Key: Entry] = [:]
    /// Done when the last session that was opened for a key has ended: it may still be writing what it remembers.
    private var ends: [Key: EventLoopFuture<Void>] = [:]

    /// - Parameter start: runs a job to its end, as part of the front door's own lifetime.
    init(
        _ settings: FrontDoorConfiguration.MountSettings, _ logger: Logger,
        start: @escaping (@escaping @Sendable @NodeLoop () async -> Void) -> Void
    ) {
        self.settings = settings
        self.logger = logger
        self.start = start
    }

    /// Brings a mount and its mirror to the same state, and keeps them so for as long as `user` does not leave.
    /// - Parameter isBounded: whether it may not hold more than is let leave the device; what a container wrote may.
    func synchronise(
        _ mount: MirroredMount, at target: NodeID, for user: String, isBounded: Bool, _ dialer: NodeDialer
    ) async throws {
        let entry = entry(mount, target, isBounded: isBounded, dialer)
        entry.users.insert(user)
        entry.waiting += 1
        defer { entry.waiting -= 1 }
        let (session, tally, logger) = (entry.session, entry.tally, logger)
        let telling = Task { try await Self.tellProgress(of: mount, at: target, tally, logger) }
        defer { telling.cancel() }
        try await session.get().synchronise()
        entry.isComplete = true
    }

    /// Until it is cancelled: who waits long can read in the log how long it will be.
    nonisolated private static func tellProgress(
        of mount: MirroredMount, at target: NodeID, _ tally: MountTally, _ logger: Logger
    ) async throws {
        while true {
            try await Task.sleep(for: progressPause)
            let now = tally.progress
            logger.notice(
                "a mount is on its way",
                metadata: [
                    "path": "\(mount.source)", "node": "\(target)",
                    "done": "\(now.pathsDone) of \(now.pathsPlanned) paths, \(ByteCount(Int64(now.bytesSent))) sent",
                ])
        }
    }

    /// `GET /lighter/mounts`.
    var shown: [JSON] {
        entries.sorted { ($0.key.source, $0.key.target) < ($1.key.source, $1.key.target) }.map { key, entry in
            let progress = entry.tally.progress
            let state = entry.waiting == 0 ? "live" : entry.isComplete ? "synchronising" : "first sync"
            return [
                "Source": .string(key.source), "Node": .string(key.target.name), "State": .string(state),
                "Containers": .array(entry.users.sorted().map { .string($0) }),
                "Paths": ["Planned": .int(Int64(progress.pathsPlanned)), "Done": .int(Int64(progress.pathsDone))],
                "Bytes": ["Sent": .int(Int64(progress.bytesSent)), "Received": .int(Int64(progress.bytesReceived))],
                "Conflicts": .int(Int64(entry.tally.conflicts)),
                "Notices": .array(entry.tally.notices.map { .string($0) }),
            ]
        }
    }

    func isUsed(by user: String) -> Bool { entries.values.contains { $0.users.contains(user) } }

    func leave(_ mount: MirroredMount, at target: NodeID, by user: String) {
        let key = Key(source: mount.source, target: target)
        guard let entry = entries[key] else { return }
        entry.users.remove(user)
        guard entry.users.isEmpty else { return }
        entries[key] = nil
        entry.close?()
    }

    private func entry(_ mount: MirroredMount, _ target: NodeID, isBounded: Bool, _ dialer: NodeDialer) -> Entry {
        let key = Key(source: mount.source, target: target)
        if let known = entries[key] { return known }
        let promise = NodeLoop.shared.loop.makePromise(of: MountSession.self)
        let entry = Entry(promise.futureResult)
        entries[key] = entry
        let (closing, close) = AsyncStream<Never>.makeStream()
        entry.close = { close.finish() }
        let (before, end) = (ends[key], NodeLoop.shared.loop.makePromise(of: Void.self))
        ends[key] = end.futureResult
        start { [self] in
            try? await before?.get()
            do {
                try await serve(mount, target, isBounded: isBounded, dialer, promise, entry.tally, until: closing)
            } catch {
                logger.notice(
                    "a mount is not kept any more",
                    metadata: ["path": "\(mount.source)", "node": "\(target)", "reason": "\(error)"])
                promise.fail(error)
            }
            promise.fail(CancellationError())
            // Whoever still uses it opens it anew at the next turn.
            if entries[key] === entry { entries[key] = nil }
            if ends[key] === end.futureResult { ends[key] = nil }
            end.succeed()
        }
        return entry
    }

    private func serve(
        _ mount: MirroredMount, _ target: NodeID, isBounded: Bool, _ dialer: NodeDialer,
        _ promise: EventLoopPromise<MountSession>, _ tally: MountTally, until closing: AsyncStream<Never>
    ) async throws {
        let loop = NodeLoop.shared.loop
        let box = NIOLoopBoundBox<ChannelPipe.Prepared?>(nil, eventLoop: loop)
        _ = try await dialer.dial(on: loop) { channel in
            channel.eventLoop.makeCompletedFuture { box.value = try ChannelPipe.prepare(channel) }
        }.get()
        guard let prepared = box.value else { throw CancellationError() }
        var options = MountOptions(basePath: try memory(of: mount, at: target), targetName: target.name)
        if isBounded { options.maximumBytes = settings.maximumBytes }
        let (logger, root) = (logger, MountRoot(path: mount.source))
        try await prepared.with { [options] pipe in
            let session = MountSession(
                side: .origin, root: root, options: options, pipe: pipe, pool: .singleton,
                notice: {
                    tally.note($0)
                    logger.notice("\($0)", metadata: ["mount": "\(root.path)", "node": "\(target)"])
                },
                progress: { tally.note($0) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await session.run() }
                group.addTask { for await _ in closing {} }
                promise.succeed(session)
                try await group.next()
                group.cancelAll()
            }
        }
    }

    /// Nodes tried by `holders(of:among:)`: each costs a look at the disk.
    private static let triedNodes = 256

    /// Those of the nodes that have had a mirror of each of the mounts.
    func holders(of mounts: [MirroredMount], among nodes: some Sequence<NodeID>) -> Set<NodeID> {
        Set(
            nodes.prefix(Self.triedNodes).filter { node in
                mounts.allSatisfy { access(file(of: $0, at: node), F_OK) == 0 }
            })
    }

    private func file(of mount: MirroredMount, at target: NodeID) -> String {
        "\(settings.folder)/\(PathName.standing(for: "\(target)\n\(mount.source)")).base"
    }

    private func memory(of mount: MirroredMount, at target: NodeID) throws(FrontDoorError) -> String {
        guard mkdir(settings.folder, 0o700) == 0 || errno == EEXIST else {
            throw FrontDoorError(
                .journal, "\(settings.folder) cannot be made: \(String(cString: strerror(errno)))")
        }
        return file(of: mount, at: target)
    }
}
