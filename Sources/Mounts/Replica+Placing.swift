import Glibc
internal import Synchronization

extension Replica {
    /// Does what the other side asks for, or refuses where this side has something else than that side believes.
    /// - Returns: Nil when the content follows.
    func place(
        _ operation: Message.Operation, expected: UInt64, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(MountError) -> Message.Outcome? {
        let path = operation.path
        do throws(SystemFailure) {
            if state.rules.excludes(path, isFolder: operation.action.entry?.isFolder == true) { return .changed }
            guard try isExpected(path, expected, &cursor, &state) else {
                state.doubtful.insert(path.parent)
                return .changed
            }
            state.hasUnsavedChanges = true
            let place = try cursor.place(of: path)
            switch operation.action {
            case .remove: return try remove(path, place, &cursor, &state)
            case .rename(let name): return try rename(path, to: name, place, &cursor, &state)
            case .folder(let entry, let attributes): try makeFolder(path, entry, attributes, place, &state)
            case .link(let entry, let text): try makeLink(path, entry, text, place, &state)
            case .twin(let entry, let other): return try makeTwin(path, of: other, entry, place, &cursor, &state)
            case .settle(let entry, let attributes):
                guard try settle(path, entry, attributes, place, &state) else { return .changed }
            case .file(let entry, let attributes, let content):
                let staged = try StagedFile(in: place.folder)
                try staged.write(content, at: 0)
                return try install(staged, path, entry, attributes, place, &state)
            case .begin(let entry, let attributes, let comparesChunks):
                try begin(operation, entry, attributes, expected, comparesChunks, place, &state)
                return nil
            }
            return .applied
        } catch {
            return try outcome(of: error, at: path, &state)
        }
    }

    func outcome(
        of error: SystemFailure, at path: TreePath, _ state: inout State
    ) throws(MountError) -> Message.Outcome {
        if error.code == ECANCELED || error == .impossible { throw failure(error, path) }
        state.doubtful.insert(path.parent)
        // The file system has something else there than either side knew.
        if error.isAbsence || [EEXIST, EISDIR, ENOTEMPTY].contains(error.code) { return .changed }
        return .failed(error.description)
    }

    /// Whether the path is as the other side believes: as this side knows it, and as the disk still has it.
    func isExpected(
        _ path: TreePath, _ expected: UInt64, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(SystemFailure) -> Bool {
        guard try state.knowledge.fingerprint(of: path) == expected else { return false }
        let known = try state.knowledge.record(at: path)
        let place: Place
        do throws(SystemFailure) { place = try cursor.place(of: path) } catch {
            if isOrphan(path) { try lose(path, &state) }
            throw error
        }
        guard let status = try place.folder.status(place.name) else { return known == nil }
        guard let known else { return false }
        if known.isCurrent(status) { return true }
        guard known.entry.kind == status.kind,
            let (record, links) = try reader.read(place.folder, place.name, status, known: known)
        else { return false }
        guard record.entry.matches(known.entry, owners: owners) else { return false }
        try state.knowledge.found(record, at: path, links: links)
        return true
    }

    /// Whether the folder that would hold it has gone: then no look at that folder tells that the path has, too.
    func isOrphan(_ path: TreePath) -> Bool {
        guard !path.isRoot else { return false }
        do throws(SystemFailure) {
            _ = try root.open(path.parent)
            return false
        } catch {
            return error.isAbsence
        }
    }

    typealias Place = (folder: OpenFolder, name: [UInt8])

    private func remove(
        _ path: TreePath, _ place: Place, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(SystemFailure) -> Message.Outcome {
        guard !path.isRoot else { return .failed("the mount itself cannot be removed") }
        guard let known = try state.knowledge.record(at: path) else { return .applied }
        cursor.forget()
        do throws(SystemFailure) {
            try place.folder.remove(place.name, isFolder: known.entry.isFolder)
        } catch {
            guard known.entry.isFolder, error.code == ENOTEMPTY || error.code == EEXIST else { throw error }
            guard try state.knowledge.holdsNothing(in: path), try hasOnlyIgnored(path, state) else {
                return .changed
            }
            return .kept
        }
        // What was in it and has gone by itself, unseen.
        if known.entry.isFolder { try loseChildren(of: path, state.knowledge) }
        try state.knowledge.agree(on: nil, at: path)
        return .applied
    }

    private func hasOnlyIgnored(_ path: TreePath, _ state: State) throws(SystemFailure) -> Bool {
        let folder = try root.open(path)
        let listing = try folder.listing()
        while let name = try listing.next(1).first {
            guard let child = path.appending(name), let kind = try folder.status(name)?.kind else { continue }
            guard state.rules.ignores(child, isFolder: kind == .folder) else { return false }
        }
        return true
    }

    /// Sets the target's version of a path aside.
    private func rename(
        _ path: TreePath, to name: [UInt8], _ place: Place, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(SystemFailure) -> Message.Outcome {
        guard try place.folder.status(name) == nil else { return .changed }
        if root.isFile {
            try keepCopy(of: place.name, as: name, in: place.folder)
            return .applied
        }
        guard let known = try state.knowledge.record(at: path), let other = path.parent.appending(name), !path.isRoot
        else { return .changed }
        cursor.forget()
        try place.folder.rename(place.name, to: name)
        try state.knowledge.agree(on: nil, at: path)
        try state.knowledge.found(known, at: other)
        try state.knowledge.index.forEach(below: path) { old, record throws(SystemFailure) in
            try state.knowledge.agree(on: nil, at: old)
            if let new = TreePath(other.bytes + old.bytes.dropFirst(path.bytes.count)) {
                try state.knowledge.found(record, at: new)
            }
        }
        return .applied
    }

    /// A single file keeps its inode and its place, so its version is copied aside.
    private func keepCopy(of name: [UInt8], as other: [UInt8], in folder: OpenFolder) throws(SystemFailure) {
        let file = try folder.file(name)
        let staged = try StagedFile(in: folder)
        var buffer = [UInt8](repeating: 0, count: 128 << 10)
        var position: Int64 = 0
        while case let count = try file.read(into: &buffer, count: buffer.count, at: position), count > 0 {
            try staged.write(buffer[..<count], at: position)
            position += Int64(count)
        }
        try staged.file.truncate(to: position)
        _ = try staged.install(as: other)
    }

    private func makeFolder(
        _ path: TreePath, _ entry: Entry, _ attributes: ExtendedAttributes, _ place: Place, _ state: inout State
    ) throws(SystemFailure) {
        if !path.isRoot, try state.knowledge.record(at: path)?.entry.isFolder != true {
            try place.folder.makeFolder(place.name)
        }
        let folder = try place.folder.folder(place.name).descriptor
        try reader.apply(entry, attributes, to: folder)
        let status = try folder.status()
        try state.knowledge.agree(on: Record(entry: entry, inode: status.inode, changed: status.changed), at: path)
        watch?.add(folder, as: path)
    }

    private func makeLink(
        _ path: TreePath, _ entry: Entry, _ text: [UInt8], _ place: Place, _ state: inout State
    ) throws(SystemFailure) {
        let name = TemporaryName.random()
        try place.folder.makeLink(name, to: text)
        do throws(SystemFailure) {
            try reader.apply(entry, toLink: name, in: place.folder)
            try place.folder.rename(name, to: place.name)
        } catch {
            try? place.folder.remove(name, isFolder: false)
            throw error
        }
        guard let status = try place.folder.status(place.name) else { throw SystemFailure(ENOENT) }
        try state.knowledge.agree(on: Record(entry: entry, inode: status.inode, changed: status.changed), at: path)
    }

    private func makeTwin(
        _ path: TreePath, of other: TreePath, _ entry: Entry, _ place: Place, _ cursor: inout FolderCursor,
        _ state: inout State
    ) throws(SystemFailure) -> Message.Outcome {
        let expected = Fingerprint.of(other, entry, owners: owners)
        let from = try root.place(of: other)
        guard other != path, try isExpected(other, expected, &cursor, &state) else { return .changed }
        let name = TemporaryName.random()
        try place.folder.makeName(name, for: from.name, in: from.folder)
        do throws(SystemFailure) { try place.folder.rename(name, to: place.name) } catch {
            try? place.folder.remove(name, isFolder: false)
            throw error
        }
        // Where both names are one file already, a rename does nothing.
        try? place.folder.remove(name, isFolder: false)
        guard let status = try place.folder.status(place.name) else { throw SystemFailure(ENOENT) }
        let record = Record(entry: entry, inode: status.inode, changed: status.changed)
        try state.knowledge.agree(on: record, at: path)
        // The other name's status has changed with it.
        if var known = try state.knowledge.record(at: other) {
            known.changed = status.changed
            try state.knowledge.found(known, at: other, links: status.links)
        }
        try state.knowledge.noteName(path, of: status.inode)
        return .applied
    }

    private func settle(
        _ path: TreePath, _ entry: Entry, _ attributes: ExtendedAttributes, _ place: Place, _ state: inout State
    ) throws(SystemFailure) -> Bool {
        guard let known = try state.knowledge.record(at: path), known.entry.hasSameContent(as: entry) else {
            return false
        }
        let file = try place.folder.file(place.name)
        guard try file.status().kind == .file else { return false }
        try reader.apply(entry, attributes, to: file)
        let status = try file.status()
        try state.knowledge.agree(on: Record(entry: entry, inode: status.inode, changed: status.changed), at: path)
        return true
    }
}
