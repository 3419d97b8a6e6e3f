import Glibc
internal import NIOCore
internal import Synchronization

/// What a side remembers between sessions.
///
/// The origin keeps the base, for it decides, and what it decides from has to last exactly as long as it does. The target
/// keeps only what spares it reading its files again; without it, it reads them.
extension Replica {
    /// - Returns: Whether there is a base; a damaged one is none.
    @discardableResult
    func load() throws(MountError) -> Bool {
        try state.withLock { state throws(MountError) in
            guard let memory = IndexFile.read(options.basePath, side: side, owners: owners) else { return false }
            state.knowledge.index = memory.tree
            state.baseInode = memory.rootInode
            state.mirror = memory.mirror
            return true
        }
    }

    /// Compares what the first scan found with the base.
    /// - Throws: `.originLost` where the folder looks like the empty place of a file system that is not mounted.
    func checkAgainstBase() throws(MountError) {
        try state.withLock { state throws(MountError) in
            guard let inode = state.baseInode, inode != root.inode, !state.knowledge.index.isEmpty else { return }
            guard state.knowledge.children(of: .root).isEmpty else { return }
            throw MountError(
                .originLost,
                "\(root.path) is empty and not the folder it was, so that it may not be mounted; mount it, or remove "
                    + "\(options.basePath) if everything in it is meant to be deleted")
        }
    }

    /// A single file that is missing is never taken for deleted.
    func checkPresence() throws(MountError) {
        guard root.isFile else { return }
        do throws(SystemFailure) {
            let place = try root.place(of: .root)
            if try place.folder.status(place.name)?.kind == .file { return }
        } catch {
            throw failure(error, .root)
        }
        throw MountError(.originLost, "\(root.path) is missing, or no file any more; put it back and start again")
    }

    var rules: IgnoreRules { state.withLock { $0.rules } }

    /// The name of the target's mirror.
    var mirror: Fingerprint { state.withLock { $0.mirror } }

    /// Gives the mirror a new name where it is not the one of the last session, or nothing of it is left: that something
    /// is not in it then does not mean that it was deleted by a container.
    func recogniseMirror() {
        state.withLock { state in
            let isEmpty = root.isFile ? state.knowledge.index[.root] == nil : state.knowledge.index.isEmpty
            if state.baseInode == root.inode, state.mirror != .zero, !isEmpty { return }
            state.mirror = Fingerprint(high: .random(in: 1 ... .max), low: .random(in: .min ... .max))
            state.hasUnsavedChanges = true
        }
    }

    /// Begins to work with the target's mirror. A base that is about another one is none, and then what is here is the
    /// truth.
    func start(with mirror: Fingerprint, hasMemory: Bool) {
        state.withLock { state in
            state.hasBase = hasMemory && state.mirror == mirror
            state.mirror = mirror
            state.isMirroring = !state.hasBase || options.isReadOnly
            if !state.hasBase { state.knowledge.assumeBase() }
        }
    }

    /// Writes what has to last, if that has changed. What is only assumed of the target is never written: a later session
    /// would take what the target never had for deleted there.
    func save() throws(MountError) {
        let (tree, mirror): (Tree?, Fingerprint) = state.withLock { state in
            guard state.hasUnsavedChanges || state.baseInode != root.inode else { return (nil, .zero) }
            if side == .origin, !state.hasBase { return (nil, .zero) }
            state.hasUnsavedChanges = false
            state.baseInode = root.inode
            return (state.knowledge.index, state.mirror)
        }
        guard let tree else { return }
        do throws(SystemFailure) {
            try IndexFile.write(
                IndexFile(tree: tree, rootInode: root.inode, mirror: mirror), options.basePath, side: side,
                owners: owners)
        } catch {
            throw MountError(
                .file, "\(options.basePath) cannot be written (\(error)); the mount needs a file of its own there",
                cause: error)
        }
    }
}
