import Glibc
internal import Synchronization

/// One side's tree on the disk and what is known of it. All its methods block: they are called on the thread pool.
final class Replica: Sendable {
    struct State {
        var knowledge: Knowledge
        var rules = IgnoreRules.none
        /// Folders to look at again, besides those that the watch knows of.
        var doubtful: Set<TreePath> = []
        /// At the origin: what the target has, where that differs from the base.
        var theirs: [TreePath: Entry?] = [:]
        /// At the origin: what was asked of the target and has not come.
        var wanted: [UInt32: Wanted] = [:]
        /// At the origin: files that changed between being looked at and being sent, as they were sent.
        var sent: [UInt32: Entry] = [:]
        /// At the origin: paths of which another name of the same file was refused.
        var plainOnly: Set<TreePath> = []
        /// Paths that were sent in this round.
        var shipped: Set<TreePath> = []
        /// At the target: paths that were told in this round, so that the origin may not have them yet.
        var told: Set<TreePath> = []
        /// At the origin: whether the target is made like the origin, instead of both like each other.
        var isMirroring = false
        /// Files that are arriving in pieces, by operation.
        var arrivals: [UInt32: IncomingFile] = [:]
        var hasUnsavedChanges = false
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
    ) {
        self.side = side
        self.options = options
        self.root = root
        self.watch = watch
        self.owners = owners
        self.notice = notice
        self.stop = stop
        reader = RecordReader(isPrivileged: isPrivileged, keepsSetuid: options.keepsSetuid, stop: stop)
        state = Mutex(State(knowledge: Knowledge(side: side, owners: owners)))
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
