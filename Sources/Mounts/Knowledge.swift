/// What a side knows of its own tree, and how that differs from what the other side knows of it.
final class Knowledge {
    let side: MountSide
    /// Whether owners count.
    let owners: Bool
    /// At the origin the base, with the marks of this side's files; at the target all that it has.
    private(set) var index: PathTable<Record>
    /// At the origin: what differs from the base; a path without a record is gone.
    private(set) var local: PathTable<Record>
    /// At the target: changes that have not been told.
    let untold: PathTable<UInt8>
    /// At the origin: what the target has, where that differs from the base; a path without an entry is not there.
    let theirs: PathTable<Entry>
    /// At the target: paths that were told in this round, so that the origin may not have them yet.
    let told: PathTable<UInt8>
    /// Paths that were sent in this round.
    let shipped: PathTable<UInt8>
    /// At the origin: folders made in this round, which get their times and modes once they are full.
    let unfinished: PathTable<MountSide>
    /// What is there of the names in a folder that is being looked at, and has very many.
    let present: PathTable<UInt8>
    /// Paths of which the index has something else than was written last; none is kept before it has been written.
    let unsaved: PathTable<UInt8>
    private var isWritten = false
    private let store: Store
    private let names: NameBook
    /// At the origin: whether the target may have something that differs from the base, not only lack it.
    private(set) var hasTheirs = false

    init(side: MountSide, owners: Bool, store: Store) throws(SystemFailure) {
        self.side = side
        self.owners = owners
        self.store = store
        index = try PathTable("seen", in: store)
        local = try PathTable("local", in: store)
        untold = try PathTable("untold", in: store)
        theirs = try PathTable("theirs", in: store)
        told = try PathTable("told", in: store)
        shipped = try PathTable("shipped", in: store)
        unfinished = try PathTable("unfinished", in: store)
        present = try PathTable("present", in: store)
        unsaved = try PathTable("unsaved", in: store)
        names = try NameBook(in: store)
    }

    /// Throws where something could not be kept before: nothing may be decided any more.
    func check() throws(SystemFailure) { try store.check() }

    func record(at path: TreePath) throws(SystemFailure) -> Record? {
        if let known = try local.value(at: path) { return known }
        return try index.value(at: path) ?? nil
    }

    /// What both sides had when they were last the same; at the target what it has.
    func base(of path: TreePath) throws(SystemFailure) -> Entry? { (try index.value(at: path) ?? nil)?.entry }

    func fingerprint(of path: TreePath) throws(SystemFailure) -> UInt64 {
        Fingerprint.of(path, try record(at: path)?.entry, owners: owners)
    }

    /// What is known of a folder's names; nil where there may be as many as `limit`.
    func children(of folder: TreePath, fewerThan limit: Int) throws(SystemFailure) -> [[UInt8]: Record]? {
        var children: [[UInt8]: Record] = [:]
        for table in [index, local] {
            let rows = try table.rows(in: folder, limit: limit)
            guard rows.count < limit else { return nil }
            for (path, record) in rows { children[Array(path.name)] = record }
        }
        return children
    }

    /// Visits every path below `folder` that may be known, some of them twice. `body` may change what is known of it.
    func forEach(
        below folder: TreePath, _ body: (TreePath) throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        for table in [index, local] {
            try table.forEach(below: folder) { path, _ throws(SystemFailure) in try body(path) }
        }
    }

    /// The same for what is in `folder` itself.
    func forEach(
        in folder: TreePath, _ body: (TreePath) throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        for table in [index, local] {
            try table.forEach(in: folder) { path, _ throws(SystemFailure) in try body(path) }
        }
    }

    /// Whether nothing is known to be in a folder.
    func holdsNothing(in folder: TreePath) throws(SystemFailure) -> Bool {
        for table in [index, local] {
            var last: TreePath?
            while case let page = try table.rows(in: folder, after: last, limit: 64), !page.isEmpty {
                for (path, _) in page where try record(at: path) != nil { return false }
                last = page.last?.path
            }
        }
        return true
    }

    /// Takes in what was found on the disk.
    /// - Returns: Whether the entry differs from what was known.
    @discardableResult
    func found(_ record: Record?, at path: TreePath, links: UInt64 = 1) throws(SystemFailure) -> Bool {
        let base = try index.value(at: path) ?? nil
        let known = try local.value(at: path) ?? base
        let isChange = !(known?.entry).matches(record?.entry, owners: owners)
        if links > 1, let record { try noteName(path, of: record.inode) }
        switch side {
        case .target:
            if isChange { try untold.set(path, to: nil) }
            try keep(record, at: path)
        case .origin:
            guard (base?.entry).matches(record?.entry, owners: owners) else {
                try local.set(path, to: record)
                break
            }
            try local.remove(path)
            try keep(record, at: path)
        }
        return isChange
    }

    /// At the origin: takes in what the target has at a path.
    func told(_ entry: Entry?, at path: TreePath) throws(SystemFailure) {
        if try base(of: path).matches(entry, owners: owners) {
            try theirs.remove(path)
        } else {
            if entry != nil { hasTheirs = true }
            try theirs.set(path, to: entry)
        }
    }

    private func keep(_ record: Record?, at path: TreePath) throws(SystemFailure) {
        if let record { try index.set(path, to: record) } else { try index.remove(path) }
        if isWritten { try unsaved.set(path, to: nil) }
    }

    func noteName(_ path: TreePath, of inode: UInt64) throws(SystemFailure) { try names.note(path, of: inode) }

    /// Takes in what both sides have from now on.
    func agree(on record: Record?, at path: TreePath) throws(SystemFailure) {
        try keep(record, at: path)
        try local.remove(path)
        try untold.remove(path)
    }

    /// The index is on the disk as it is.
    func isSaved() throws(SystemFailure) {
        isWritten = true
        try unsaved.removeAll()
    }

    /// Forgets a path that is ignored from now on.
    func forget(_ path: TreePath) throws(SystemFailure) { try agree(on: nil, at: path) }

    /// Another name of the file at `path` that `isFit`, if it has one.
    func twin(
        of path: TreePath, where isFit: (TreePath) throws(SystemFailure) -> Bool
    ) throws(SystemFailure) -> TreePath? {
        guard let record = try record(at: path), record.entry.isFile else { return nil }
        return try names.first(of: record.inode) { other throws(SystemFailure) in
            guard other != path, let found = try self.record(at: other), found.inode == record.inode else {
                return false
            }
            guard found.entry.matches(record.entry, owners: owners) else { return false }
            return try isFit(other)
        }
    }

    /// Takes what is on the origin's disk for the base, where there is none: the target is then compared with it.
    func assumeBase() throws(SystemFailure) {
        // All that is found without a base differs from it.
        isWritten = false
        if index.isEmpty { return swap(&index, &local) }
        try local.forEach { path, record throws(SystemFailure) in try agree(on: record, at: path) }
    }
}
