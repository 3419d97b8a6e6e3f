/// What a side knows of its own tree, and how that differs from what the other side knows of it.
struct Knowledge: Sendable {
    let side: MountSide
    /// Whether owners count.
    let owners: Bool
    /// At the origin the base, with the marks of this side's files; at the target all that it has.
    var index = Tree()
    /// At the origin: what differs from the base.
    private(set) var local = Overlay()
    /// At the target: changes that have not been told.
    var untold: Set<TreePath> = []
    /// Names of files that have several, by inode; checked when they are used.
    private(set) var names: [UInt64: Set<TreePath>] = [:]

    init(side: MountSide, owners: Bool) {
        self.side = side
        self.owners = owners
    }

    func record(at path: TreePath) -> Record? { local.record(at: path) ?? index[path] }

    func fingerprint(of path: TreePath) -> UInt64 { Fingerprint.of(path, record(at: path)?.entry, owners: owners) }

    func children(of folder: TreePath) -> [[UInt8]: Record] {
        var children: [[UInt8]: Record] = [:]
        for child in index.children(of: folder) { children[child.name] = child.record }
        for (name, record) in local.children(of: folder) { children[name] = record }
        return children
    }

    func paths(below folder: TreePath) -> [TreePath] {
        var paths: [TreePath] = []
        for (name, record) in children(of: folder) {
            guard let path = folder.appending(name) else { continue }
            paths.append(path)
            if record.entry.isFolder { paths += self.paths(below: path) }
        }
        return paths
    }

    /// Takes in what was found on the disk.
    /// - Returns: Whether the entry differs from what was known.
    @discardableResult
    mutating func found(_ record: Record?, at path: TreePath, links: UInt64 = 1) -> Bool {
        let known = self.record(at: path)
        let isChange = !(known?.entry).matches(record?.entry, owners: owners)
        if links > 1, let record { noteName(path, of: record.inode) }
        switch side {
        case .target:
            if isChange { untold.insert(path) }
            index[path] = record
        case .origin:
            let base = index[path]
            guard (base?.entry).matches(record?.entry, owners: owners) else {
                local.set(path, to: record)
                break
            }
            local.remove(path)
            index[path] = record
        }
        return isChange
    }

    mutating func noteName(_ path: TreePath, of inode: UInt64) { names[inode, default: []].insert(path) }

    /// Takes in what both sides have from now on.
    mutating func agree(on record: Record?, at path: TreePath) {
        index[path] = record
        local.remove(path)
        untold.remove(path)
    }

    /// Forgets a path that is ignored from now on.
    mutating func forget(_ path: TreePath) { agree(on: nil, at: path) }

    /// Another name of the file at `path` that `isFit`, if it has one.
    func twin(of path: TreePath, where isFit: (TreePath) -> Bool) -> TreePath? {
        guard let record = record(at: path), record.entry.isFile, let candidates = names[record.inode] else {
            return nil
        }
        return candidates.filter { other in
            guard other != path, let found = self.record(at: other), found.inode == record.inode else { return false }
            return found.entry.matches(record.entry, owners: owners) && isFit(other)
        }.min()
    }

    /// Takes what is on the origin's disk for the base, where there is none: the target is then compared with it.
    mutating func assumeBase() {
        for path in local.paths.sorted() {
            if let record = local.record(at: path) { agree(on: record, at: path) }
        }
    }
}
