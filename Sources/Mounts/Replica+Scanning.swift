import Glibc
internal import Synchronization

extension Replica {
    /// Looks through the whole tree; files that look unchanged are not read.
    /// - Returns: Whether the ignore rules have changed.
    func scanEverything() throws(MountError) -> Bool {
        try work { state throws(MountError) in
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
        return try work { state throws(MountError) in
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
    func adopt(_ rules: IgnoreRules) throws(MountError) {
        try withState { state throws(SystemFailure) in
            state.rules = rules
            try forgetIgnored(&state)
        }
    }

    /// A root that has gone is never taken for a tree from which everything was deleted.
    private func checkRoot() throws(MountError) {
        guard root.isInPlace else {
            let message = "\(root.path) has gone or is another folder than before; put it back and start again"
            throw MountError(side == .origin ? .originLost : .invalid, message)
        }
    }

    /// The rules as they stand in the origin's tree.
    func currentRules() throws(MountError) -> IgnoreRules {
        guard !root.isFile else { return .none }
        do throws(SystemFailure) { return try MountTree.rules(of: root) } catch { throw rootFailure(error) }
    }

    private func readRules(_ state: inout State) throws(MountError) -> Bool {
        guard side == .origin, !root.isFile else { return false }
        let rules = try currentRules()
        guard rules.text != state.rules.text else { return false }
        state.rules = rules
        try withStore { () throws(SystemFailure) in try forgetIgnored(&state) }
        return true
    }

    func forgetIgnored(_ state: inout State) throws(SystemFailure) {
        let (knowledge, rules) = (state.knowledge, state.rules)
        try knowledge.forEach(below: .root) { path throws(SystemFailure) in
            // One that has gone was a folder, too.
            let (record, base) = (try knowledge.record(at: path), try knowledge.base(of: path))
            let entry = record?.entry ?? base
            if rules.excludes(path, isFolder: entry?.isFolder == true) { try knowledge.forget(path) }
        }
        try knowledge.theirs.forEach { path, entry throws(SystemFailure) in
            let base = try knowledge.base(of: path)
            let entry = entry ?? base
            if rules.excludes(path, isFolder: entry?.isFolder == true) { try knowledge.theirs.remove(path) }
        }
    }

    private func scanRoot(_ state: inout State) throws(MountError) {
        do throws(SystemFailure) {
            let place = try root.place(of: .root)
            if root.isFile { watch?.add(place.folder.descriptor, as: .root) }
            guard let status = try place.folder.status(place.name) else {
                // A file that an editor is replacing is back in a moment; its absence is never a deletion.
                if side == .target { try state.knowledge.found(nil, at: .root) }
                return
            }
            guard status.kind == (root.isFile ? .file : .folder) else { return }
            let known = try state.knowledge.record(at: .root)
            if known?.isCurrent(status) == true { return }
            guard let (record, _) = try reader.read(place.folder, place.name, status, known: known) else { return }
            try state.knowledge.found(record, at: .root)
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
        // Each of them once, also where many of its folders have gone.
        var shallow = isRecursive ? [] : Set(folders)
        while let (path, isDeep) = waiting.popLast() {
            if !path.isRoot, state.rules.excludes(path, isFolder: true) { continue }
            do throws(SystemFailure) {
                let inner = try scanFolder(path, &state)
                waiting += inner.filter { isDeep || $0.isNew }.map { ($0.path, true) }
            } catch {
                if error.code == ECANCELED || path.isRoot { throw rootFailure(error) }
                if error.isAbsence {
                    // Its parent tells what became of it.
                    if !isDeep, shallow.insert(path.parent).inserted { waiting.append((path.parent, false)) }
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
        let listing = try folder.listing()
        var names = try listing.next(Self.namesAtOnce)
        var inner: [(path: TreePath, isNew: Bool)] = []
        if names.count < Self.namesAtOnce,
            var known = try state.knowledge.children(of: path, fewerThan: Self.namesAtOnce)
        {
            for name in names {
                guard let child = appending(name, to: path, &state) else { continue }
                if try visit(child, in: folder, before: known[name], &inner, &state) { known[name] = nil }
            }
            for name in known.keys {
                if let child = path.appending(name) { try lose(child, &state) }
            }
            return inner
        }
        // So many that they are not held: what is there is noted, so that the rest is what has gone.
        let (knowledge, present) = (state.knowledge, state.knowledge.present)
        try present.removeAll()
        while !names.isEmpty {
            for name in names {
                guard let child = appending(name, to: path, &state) else { continue }
                let before = try knowledge.record(at: child)
                if try visit(child, in: folder, before: before, &inner, &state) { try present.set(child, to: nil) }
            }
            names = try listing.next(Self.namesAtOnce)
        }
        try knowledge.forEach(in: path) { child throws(SystemFailure) in
            if try !present.has(child), try knowledge.record(at: child) != nil { try lose(child, &state) }
        }
        try present.removeAll()
        return inner
    }

    /// Names of one folder that are held at once.
    private static let namesAtOnce = 4096

    private func appending(_ name: [UInt8], to folder: TreePath, _ state: inout State) -> TreePath? {
        if let path = folder.appending(name) { return path }
        let name = String(decoding: name, as: UTF8.self)
        announce(.skipped(path: "\(folder)/\(name)", reason: "its path is too long"), &state)
        return nil
    }

    /// Looks at one name of a folder.
    /// - Returns: Whether something is there that is mirrored, or that is left alone.
    private func visit(
        _ path: TreePath, in folder: OpenFolder, before: Record?, _ inner: inout [(path: TreePath, isNew: Bool)],
        _ state: inout State
    ) throws(SystemFailure) -> Bool {
        guard !stop.isSet else { throw SystemFailure(ECANCELED) }
        let name = Array(path.name)
        guard let status = try folder.status(name) else { return false }
        if TemporaryName.isLeftOver(name, status) { try? folder.remove(name, isFolder: false) }
        if state.rules.ignores(path, isFolder: status.kind == .folder) { return true }
        guard status.kind != nil else {
            announce(
                .skipped(path: path.description, reason: "sockets, FIFOs and devices stay where they are"), &state)
            return false
        }
        try look(at: path, in: folder, status, before: before, &state)
        if status.kind == .folder {
            inner.append((path, before?.entry.isFolder != true || before?.inode != status.inode))
        }
        return true
    }

    private func look(
        at path: TreePath, in folder: OpenFolder, _ status: FileStatus, before: Record?, _ state: inout State
    ) throws(SystemFailure) {
        if let before, before.isCurrent(status) {
            if status.links > 1, status.kind == .file { try state.knowledge.noteName(path, of: status.inode) }
            return
        }
        do throws(SystemFailure) {
            guard let (record, links) = try reader.read(folder, Array(path.name), status, known: before) else { return }
            if before?.entry.isFolder == true, !record.entry.isFolder { try loseChildren(of: path, state.knowledge) }
            try state.knowledge.found(record, at: path, links: links)
            state.hasUnsavedChanges = true
        } catch {
            if error.code == ECANCELED { throw error }
            if error.isAbsence {
                try lose(path, &state)
            } else {
                // What cannot be read has not been deleted.
                announce(.skipped(path: path.description, reason: error.description), &state)
            }
        }
    }

    /// What was at a path has gone, with all that was in it.
    func lose(_ path: TreePath, _ state: inout State) throws(SystemFailure) {
        try loseChildren(of: path, state.knowledge)
        try state.knowledge.found(nil, at: path)
        state.hasUnsavedChanges = true
    }

    func loseChildren(of path: TreePath, _ knowledge: Knowledge) throws(SystemFailure) {
        try knowledge.forEach(below: path) { child throws(SystemFailure) in try knowledge.found(nil, at: child) }
    }
}
