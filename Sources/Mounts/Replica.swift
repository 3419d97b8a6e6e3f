import Glibc
internal import Synchronization

/// One side's tree on the disk and what is known of it. All its methods block: they are called on the thread pool.
final class Replica: Sendable {
    struct State {
        let knowledge: Knowledge
        var rules = IgnoreRules.none
        /// Folders to look at again, besides those that the watch knows of.
        var doubtful: Set<TreePath> = []
        /// At the origin: what was asked of the target and has not come.
        var wanted: [UInt32: Wanted] = [:]
        /// At the origin: files that changed between being looked at and being sent, as they were sent.
        var sent: [UInt32: Entry] = [:]
        /// At the origin: paths of which another name of the same file was refused.
        var plainOnly: Set<TreePath> = []
        /// At the origin: whether the target is made like the origin, instead of both like each other.
        var isMirroring = false
        /// Files that are arriving in pieces, by operation.
        var arrivals: [UInt32: IncomingFile] = [:]
        /// At the target: whether its tree has been looked through; before, there is nothing that it could remember.
        var isRecognised = false
        var hasUnsavedChanges = false
        /// The memory as it is on the disk; nil where it has to be written as a whole.
        var saved: Saved?
        var announced: Set<MountNotice> = []
        /// The root's inode when the memory was written.
        var baseInode: UInt64?
        /// The name of the target's mirror that the base is about.
        var mirror = Fingerprint.zero
        /// At the origin: whether the index is a base, and not only what is here.
        var hasBase = false
        /// At the target: in how many buckets its tree was told.
        var bucketCount = 1
    }

    struct Saved {
        var changes: ChangesFile
        let index: IndexFile.Identity
        let mirror: Fingerprint
    }

    struct Wanted: Sendable {
        let path: TreePath
        /// What is here.
        let expected: UInt64
    }

    let side: MountSide
    let options: MountOptions
    let root: RootFolder
    let reader: RecordReader
    let stop: StopFlag
    let watch: FolderWatch?
    let owners: Bool
    let notice: @Sendable (MountNotice) -> Void
    let state: Mutex<State>

    /// - Parameters:
    ///   - owners: Whether owners count, which both sides have to see in the same way.
    ///   - watch: Nil where changes need not be found while they happen.
    /// Whether it knows of so much that its memory is worth giving back at its end.
    var isLarge: Bool { state.withLock { $0.knowledge.index.count > 10_000 } }

    init(
        side: MountSide, options: MountOptions, root: RootFolder, isPrivileged: Bool, owners: Bool,
        watch: FolderWatch?, stop: StopFlag, notice: @escaping @Sendable (MountNotice) -> Void
    ) throws(MountError) {
        self.side = side
        self.options = options
        self.root = root
        self.watch = watch
        self.owners = owners
        self.notice = notice
        self.stop = stop
        reader = RecordReader(isPrivileged: isPrivileged, keepsSetuid: options.keepsSetuid, stop: stop)
        do throws(SystemFailure) {
            let store = try Store(at: options.basePath + ".work", cacheSize: options.cacheSize)
            state = Mutex(State(knowledge: try Knowledge(side: side, owners: owners, store: store)))
        } catch {
            throw Self.storeFailure(error, options)
        }
    }

    /// Works on what is known; where that cannot be kept, the session ends.
    func withState<T: Sendable>(
        _ body: (inout State) throws(SystemFailure) -> T
    ) throws(MountError) -> T {
        try work { state throws(MountError) in try withStore { () throws(SystemFailure) in try body(&state) } }
    }

    /// Works on what is known and on the disk; a path that fails is no failure, a store that does is.
    func work<T: Sendable>(_ body: (inout State) throws(MountError) -> T) throws(MountError) -> T {
        try state.withLock { state throws(MountError) in
            let result = try body(&state)
            try withStore { () throws(SystemFailure) in try state.knowledge.check() }
            return result
        }
    }

    /// Says of a failure of the store what it means for the session.
    func withStore<T>(_ body: () throws(SystemFailure) -> T) throws(MountError) -> T {
        do throws(SystemFailure) { return try body() } catch { throw Self.storeFailure(error, options) }
    }

    private static func storeFailure(_ failure: SystemFailure, _ options: MountOptions) -> MountError {
        MountError(
            .file,
            "what is known of a mount's files cannot be kept at \(options.basePath).work (\(failure)); make room there",
            cause: failure)
    }

    /// Says something once.
    func announce(_ new: MountNotice, _ state: inout State) {
        // Bounded: a peer may fail any number of paths.
        if state.announced.count < 1000, state.announced.insert(new).inserted { notice(new) }
    }

    func failure(_ failure: SystemFailure, _ path: TreePath) -> MountError {
        if failure.code == ECANCELED { return MountError(.stopped, "the mount has been ended") }
        if failure == .impossible { return .violation("the mount's other side sent content that cannot be of \(path)") }
        return MountError(.file, "\(path) in \(root.path) cannot be used: \(failure)", cause: failure)
    }
}
