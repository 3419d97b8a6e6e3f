import Fleet
import LighterTesting
import NIOPosix
import Synchronization
import Testing

@testable import Mounts

/// Two machines' folders in one scratch folder, and sessions between them.
final class Rig: Sendable {
    let scratch: ScratchFolder
    let origin: Disk
    let target: Disk
    /// The names of the roots below the scratch folder.
    private let rootNames: (origin: String, target: String)
    private let adjust: @Sendable (inout MountOptions) -> Void

    /// - Parameter file: The name of a root that is a single file; then both disks are the folders that hold it.
    init(file: String? = nil, _ adjust: @escaping @Sendable (inout MountOptions) -> Void = { _ in }) throws {
        scratch = try ScratchFolder()
        origin = Disk(path: scratch.file("origin"))
        target = Disk(path: scratch.file("target"))
        rootNames = (file.map { "/\($0)" } ?? "", file.map { "/\($0)" } ?? "")
        self.adjust = adjust
        let disk = Disk(path: scratch.path)
        try disk.folder("origin")
        if file != nil { try disk.folder("target") }
    }

    /// The scratch folder itself.
    var whole: Disk { Disk(path: scratch.path) }

    /// The folder of each side's memory, where it is not the scratch folder itself.
    let baseFolders = Mutex<[MountSide: String]>([:])

    func base(_ side: MountSide) -> String {
        let folder = baseFolders.withLock { $0[side] }
        return scratch.file(folder.map { "\($0)/base-\(side)" } ?? "base-\(side)")
    }

    func options(_ side: MountSide) -> MountOptions {
        var options = MountOptions(basePath: base(side), targetName: "builder")
        options.debounce = .milliseconds(5)
        adjust(&options)
        return options
    }

    func root(_ side: MountSide) -> MountRoot {
        switch side {
        case .origin: MountRoot(path: origin.path + rootNames.origin)
        case .target: MountRoot(path: target.path + rootNames.target)
        }
    }

    /// Runs both sides while `body` runs.
    /// - Throws: What `body` throws, or else what a session ended with before `body` was done.
    func live<T: Sendable>(
        _ wire: MemoryWire = MemoryWire(), _ body: @escaping @Sendable (Live) async throws -> T
    ) async throws -> T {
        let live = Live(self, wire)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await live.session(.origin).run() }
            group.addTask {
                // As a node closes the stream of a session that has ended.
                defer { wire.close() }
                try await live.session(.target).run()
            }
            defer { live.end() }
            let result: T
            do {
                result = try await body(live)
            } catch {
                wire.close()
                group.cancelAll()
                throw error
            }
            wire.close()
            group.cancelAll()
            try await group.waitForAll()
            return result
        }
    }

    /// Brings both sides together once.
    func synchronise(_ wire: MemoryWire = MemoryWire()) async throws {
        try await live(wire) { try await $0.synchronise() }
    }

    func expectSame(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
        let (here, there) = (origin.snapshot(), target.snapshot())
        #expect(here == there, comment, sourceLocation: sourceLocation)
        #expect(!origin.hasTemporaryFiles && !target.hasTemporaryFiles, sourceLocation: sourceLocation)
    }
}

let testPool: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 4)
    pool.start()
    return pool
}()

/// A mount whose sessions run.
final class Live: Sendable {
    let wire: MemoryWire
    private let sessions: [MountSide: MountSession]
    private let events: AsyncStream<Void>
    private let event: AsyncStream<Void>.Continuation

    init(_ rig: Rig, _ wire: MemoryWire) {
        self.wire = wire
        let (events, event) = AsyncStream.makeStream(of: Void.self)
        (self.events, self.event) = (events, event)
        let notices = NoticeBook()
        self.notices = notices
        var sessions: [MountSide: MountSession] = [:]
        for side in [MountSide.origin, .target] {
            sessions[side] = MountSession(
                side: side, root: rig.root(side), options: rig.options(side),
                pipe: side == .origin ? wire.origin : wire.target, pool: testPool,
                notice: { notice in
                    notices.add(notice)
                    event.yield()
                },
                progress: { _ in event.yield() })
        }
        self.sessions = sessions
    }

    let notices: NoticeBook

    func session(_ side: MountSide) throws -> MountSession { try #require(sessions[side]) }

    func synchronise() async throws { try await session(.origin).synchronise() }

    /// Returns once `condition` holds; looks whenever something has happened. A session's end ends the waiting.
    func until(_ condition: @Sendable () -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async {
        if condition() { return }
        for await _ in events where condition() { return }
        #expect(condition(), sourceLocation: sourceLocation)
    }

    func end() { event.finish() }
}

final class NoticeBook: Sendable {
    private let notices = Mutex<[MountNotice]>([])

    var all: [MountNotice] { notices.withLock { $0 } }
    func add(_ notice: MountNotice) { notices.withLock { $0.append(notice) } }
}
