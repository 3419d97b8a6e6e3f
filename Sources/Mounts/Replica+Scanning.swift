import Glibc
internal import Synchronization

extension Replica {
    /// Looks through the whole tree; files that look unchanged are not read.
    /// - Returns: Whether the ignore rules have changed.
    func scanEverything() throws(MountError) -> Bool {
        try state.withLock { state throws(MountError) in
            try checkRoot()
            _ = watch?.take()
            state.doubtful = []
            let hasNewRules = try readRules(&state)
            try scanRoot(&state)
            if !root.isFile { try scan([.root], isRecursive: true, &state) }
            return hasNewRules
        }
    }

    /// Looks at the folders that have changed since the last time.
    /// - Returns: Whether the ignore rules have changed, so that everything has to be looked at.
    func scanChanges() throws(MountError) -> Bool {
        guard let changes = watch?.take() else { return try scanEverything() }
        if let gap = changes.gap {
            state.withLock { announce(.watchLimited(reason: gap), &$0) }
            return try scanEverything()
        }
        return try state.withLock { state throws(MountError) in
            let folders = state.doubtful.union(changes.folders)
            state.doubtful = []
            guard !folders.isEmpty else { return false }
            try checkRoot()
            if folders.contains(.root) {
                if try readRules(&state) { return true }
                try scanRoot(&state)
            }
            if !root.isFile { try scan(folders.sorted(), isRecursive: false, &state) }
            return false
        }
    }

    /// Makes the origin's rules this side's.
    func adopt(_ rules: IgnoreRules) {
        state.withLock { state in
            state.rules = rules
            forgetIgnored(&state)
        }
    }

    /// A root that has gone is never taken for a tree from which everything was deleted.
    private func checkRoot() throws(MountError) {
        guard root.isInPlace else {
            let message = "\(root.path) has gone or is another folder than before; put it back and start again"
            throw MountError(side == .origin ? .originLost : .invalid, message)
        }
    }

    private func readRules(_ state: inout State) throws(MountError) -> Bool {
        guard side == .origin, !root.isFile else { return false }
        let rules: IgnoreRules
        do throws(SystemFailure) { rules = try MountTree.rules(of: root) } catch { throw rootFailure(error) }
        guard rules.text != state.rules.text else { return false }
        state.rules = rules
        forgetIgnored(&state)
        return true
    }

    func forgetIgnored(_ state: inout State) {
        for path in state.knowledge.paths(below: .root) {
            let isFolder = state.knowledge.record(at: path)?.entry.isFolder == true
            if state.rules.excludes(path, isFolder: isFolder) { state.knowledge.forget(path) }
        }
        state.theirs = state.theirs.filter { !state.rules.excludes($0.key, isFolder: $0.value?.isFolder == true) }
    }

    private func scanRoot(_ state: inout State) throws(MountError) {
        do throws(SystemFailure) {
            let place = try root.place(of: .root)
            if root.isFile { watch?.add(place.folder.descriptor, as: .root) }
            guard let status = try place.folder.status(place.name) else {
                // A file that an editor is replacing is back in a moment; its absence is never a deletion.
                if side == .target { state.knowledge.found(nil, at: .root) }
                return
            }
            guard status.kind == (root.isFile ? .file : .folder) else { return }
            let known = state.knowledge.record(at: .root)
            if known?.isCurrent(status) == true { return }
            guard let (record, _) = try reader.read(place.folder, place.name, status, known: known) else { return }
            state.knowledge.found(record, at: .root)
        } catch {
            throw rootFailure(error)
        }
    }

    private func rootFailure(_ error: SystemFailure) -> MountError {
        guard side == .origin, error.code != ECANCELED else { return failure(error, .root) }
        return MountError(.originLost, "\(root.path) cannot be read (\(error)); nothing was changed", cause: error)
    }

    private func scan(_ folders: [TreePath], isRecursive: Bool, _ state: inout State) throws(MountError) {
        // Those with `true` are looked through to the bottom.
        var waiting = folders.reversed().map { ($0, isRecursive) }
        while let (path, isDeep) = waiting.popLast() {
            if !path.isRoot, state.rules.excludes(path, isFolder: true) { continue }
            do throws(SystemFailure) {
                let inner = try scanFolder(path, &state)
                waiting += inner.filter { isDeep || $0.isNew }.map { ($0.path, true) }
            } catch {
                if error.code == ECANCELED || path.isRoot { throw rootFailure(error) }
                if error.isAbsence {
                    // Its parent tells what became of it.
                    if !isDeep { waiting.append((path.parent, false)) }
                } else {
                    announce(.skipped(path: path.description, reason: error.description), &state)
                }
            }
        }
    }

    /// - Returns: The folders in it, and whether they were not known.
    private func scanFolder(
        _ path: TreePath, _ state: inout State
    ) throws(SystemFailure) -> [(path: TreePath, isNew: Bool)] {
        let folder = try root.open(path)
        watch?.add(folder.descriptor, as: path)
        var known = state.knowledge.children(of: path)
        var inner: [(path: TreePath, isNew: Bool)] = []
        for name in try folder.names() {
            guard !stop.isSet else { throw SystemFailure(ECANCELED) }
            guard let child = path.appending(name) else {
                let name = String(decoding: name, as: UTF8.self)
                announce(.skipped(path: "\(path)/\(name)", reason: "its path is too long"), &state)
                continue
            }
            guard let status = try folder.status(name) else { continue }
            if TemporaryName.isLeftOver(name, status) { try? folder.remove(name, isFolder: false) }
            if state.rules.ignores(child, isFolder: status.kind == .folder) {
                known[name] = nil
                continue
            }
            guard status.kind != nil else {
                announce(
                    .skipped(path: child.description, reason: "sockets, FIFOs and devices stay where they are"), &state)
                continue
            }
            let before = known.removeValue(forKey: name)
            try look(at: child, in: folder, status, before: before, &state)
            if status.kind == .folder {
                inner.append((child, before?.entry.isFolder != true || before?.inode != status.inode))
            }
        }
        for name in known.keys {
            if let child = path.appending(name) { lose(child, &state) }
        }
        return inner
    }

    private func look(
        at path: TreePath, in folder: OpenFolder, _ status: FileStatus, before: Record?, _ state: inout State
    ) throws(SystemFailure) {
        if let before, before.isCurrent(status) {
            if status.links > 1, status.kind == .file { state.knowledge.noteName(path, of: status.inode) }
            return
        }
        do throws(SystemFailure) {
            guard let (record, links) = try reader.read(folder, Array(path.name), status, known: before) else { return }
            if before?.entry.isFolder == true, !record.entry.isFolder { loseChildren(of: path, &state) }
            state.knowledge.found(record, at: path, links: links)
            state.hasUnsavedChanges = true
        } catch {
            if error.code == ECANCELED { throw error }
            if error.isAbsence {
                lose(path, &state)
            } else {
                // What cannot be read has not been deleted.
                announce(.skipped(path: path.description, reason: error.description), &state)
            }
        }
    }

    private func lose(_ path: TreePath, _ state: inout State) {
        loseChildren(of: path, &state)
        state.knowledge.found(nil, at: path)
        state.hasUnsavedChanges = true
    }

    private func loseChildren(of path: TreePath, _ state: inout State) {
        for child in state.knowledge.paths(below: path) { state.knowledge.found(nil, at: child) }
    }
}
