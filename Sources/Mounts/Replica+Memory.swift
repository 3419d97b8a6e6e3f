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
        try withState { state throws(SystemFailure) in
            let index = state.knowledge.index
            guard let memory = try IndexFile.read(options.basePath, into: index, side: side, owners: owners) else {
                return false
            }
            var changes = ChangesFile(besides: options.basePath, digest: memory.identity.digest)
            try changes.read(into: index)
            try state.knowledge.isSaved()
            state.saved = Saved(changes: changes, index: memory.identity, mirror: memory.mirror)
            state.baseInode = memory.rootInode
            state.mirror = memory.mirror
            return true
        }
    }

    /// Compares what the first scan found with the base.
    /// - Throws: `.originLost` where the folder looks like the empty place of a file system that is not mounted.
    func checkAgainstBase() throws(MountError) {
        let isSuspect = try withState { state throws(SystemFailure) in
            let index = state.knowledge.index
            guard let inode = state.baseInode, inode != root.inode, try !index.holdsNothingBelowRoot() else {
                return false
            }
            return try state.knowledge.holdsNothing(in: .root)
        }
        guard isSuspect else { return }
        throw MountError(
            .originLost,
            "\(root.path) is empty and not the folder it was, so that it may not be mounted; mount it, or remove "
                + "\(options.basePath) if everything in it is meant to be deleted")
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
    func recogniseMirror() throws(MountError) {
        try withState { state throws(SystemFailure) in
            state.isRecognised = true
            let index = state.knowledge.index
            let isEmpty = root.isFile ? try !index.has(.root) : try index.holdsNothingBelowRoot()
            if state.baseInode == root.inode, state.mirror != .zero, !isEmpty { return }
            state.mirror = Fingerprint(high: .random(in: 1 ... .max), low: .random(in: .min ... .max))
            state.hasUnsavedChanges = true
        }
    }

    /// Begins to work with the target's mirror. A base that is about another one is none, and then what is here is the
    /// truth.
    func start(with mirror: Fingerprint, hasMemory: Bool) throws(MountError) {
        try withState { state throws(SystemFailure) in
            state.hasBase = hasMemory && state.mirror == mirror
            state.mirror = mirror
            state.isMirroring = !state.hasBase || options.isReadOnly
            guard !state.hasBase else { return }
            try state.knowledge.assumeBase()
            state.saved = nil
        }
    }

    /// Writes what has to last, if that has changed. What is only assumed of the target is never written: a later session
    /// would take what the target never had for deleted there.
    func save() throws(MountError) {
        try work { state throws(MountError) in
            guard state.hasUnsavedChanges || state.baseInode != root.inode else { return }
            // What ends before both have been looked at leaves what was remembered as it is.
            guard side == .origin ? state.hasBase : state.isRecognised else { return }
            do throws(SystemFailure) { try write(&state) } catch {
                throw MountError(
                    .file, "\(options.basePath) cannot be written (\(error)); the mount needs a file of its own there",
                    cause: error)
            }
            state.hasUnsavedChanges = false
            state.baseInode = root.inode
        }
    }

    /// Bytes of changes, and changes at once, that are never too many.
    private static var changesSize: Int64 { 64 << 10 }
    private static var changesAtOnce: Int { 256 }

    /// Writes only what has changed, where that is little against all.
    private func write(_ state: inout State) throws(SystemFailure) {
        let knowledge = state.knowledge
        if var saved = state.saved, state.baseInode == root.inode, saved.mirror == state.mirror,
            saved.changes.size <= max(Self.changesSize, saved.index.size / 2),
            knowledge.unsaved.count <= max(Self.changesAtOnce, knowledge.index.count / 4),
            IndexFile.isInPlace(saved.index, options.basePath), saved.changes.isIntact
        {
            // Taken out while it is written: after a failure the next write is a whole one.
            state.saved = nil
            try saved.changes.append(knowledge.unsaved, of: knowledge.index)
            state.saved = saved
        } else {
            let index = try IndexFile.write(
                knowledge.index, rootInode: root.inode, mirror: state.mirror, options.basePath, side: side,
                owners: owners)
            let changes = ChangesFile(besides: options.basePath, digest: index.digest)
            changes.remove()
            state.saved = Saved(changes: changes, index: index, mirror: state.mirror)
        }
        try knowledge.isSaved()
    }
}
