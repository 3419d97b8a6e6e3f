/// Values by path, in a `Store`; a path may be in it without a value.
///
/// Its order is by folder and then by name: a folder comes before everything in it.
final class PathTable<Value: BitwiseCopyable> {
    typealias Row = (path: TreePath, value: Value?)

    /// So many rows are held at once by whoever goes through all.
    static var page: Int { 1024 }

    private let name: String
    private let store: Store
    private let find: Statement
    private let insert: Statement
    private let update: Statement
    private let delete: Statement
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Whether nothing is in it besides the root.
    func holdsNothingBelowRoot() throws(SystemFailure) -> Bool {
        switch count {
        case 0: true
        case 1: try has(.root)
        default: false
        }
    }

    /// - Parameter name: Its name in the store, where no other has it.
    init(_ name: String, in store: Store) throws(SystemFailure) {
        self.name = name
        self.store = store
        try store.run(
            "CREATE TABLE \(name) (folder BLOB, name BLOB, value BLOB, PRIMARY KEY (folder, name)) WITHOUT ROWID")
        find = try store.statement("SELECT value FROM \(name) WHERE folder = ? AND name = ?")
        insert = try store.statement("INSERT OR IGNORE INTO \(name) (folder, name, value) VALUES (?, ?, ?)")
        update = try store.statement("UPDATE \(name) SET value = ?3 WHERE folder = ?1 AND name = ?2")
        delete = try store.statement("DELETE FROM \(name) WHERE folder = ? AND name = ?")
    }

    /// Nil where the path is not in it; `.some(nil)` where it is, without a value.
    func value(at path: TreePath) throws(SystemFailure) -> Value?? {
        guard count > 0 else { return nil }
        return try path.withKey { folder, name throws(SystemFailure) in
            var found: Value?? = nil
            try store.run(find, folder, name) { found = .some(Self.value($0.blob(0))) }
            return found
        }
    }

    func has(_ path: TreePath) throws(SystemFailure) -> Bool { try value(at: path) != nil }

    func set(_ path: TreePath, to value: Value?) throws(SystemFailure) {
        try path.withKey { folder, name throws(SystemFailure) in
            guard let value else {
                insert.bindNull(at: 3)
                if try store.run(insert, folder, name) == 0 {
                    update.bindNull(at: 3)
                    try store.run(update, folder, name)
                } else {
                    count += 1
                }
                return
            }
            try withUnsafeBytes(of: value) { bytes throws(SystemFailure) in
                if try store.run(insert, folder, name, bytes) == 0 {
                    try store.run(update, folder, name, bytes)
                } else {
                    count += 1
                }
            }
        }
    }

    func remove(_ path: TreePath) throws(SystemFailure) {
        guard count > 0 else { return }
        try path.withKey { folder, name throws(SystemFailure) in
            if try store.run(delete, folder, name) > 0 { count -= 1 }
        }
    }

    func removeAll() throws(SystemFailure) {
        guard count > 0 else { return }
        try store.run("DELETE FROM \(name)")
        count = 0
    }

    /// The next rows after a path, or the first ones.
    func rows(after path: TreePath?, limit: Int = page) throws(SystemFailure) -> [Row] {
        guard let path else { return try rows(limit, "ORDER BY folder, name") }
        return try path.withKey { folder, name throws(SystemFailure) in
            try rows(limit, "WHERE (folder, name) > (?, ?) ORDER BY folder, name", folder, name)
        }
    }

    /// The next rows before a path, or the last ones, the last first.
    func rows(before path: TreePath?, limit: Int = page) throws(SystemFailure) -> [Row] {
        guard let path else { return try rows(limit, "ORDER BY folder DESC, name DESC") }
        return try path.withKey { folder, name throws(SystemFailure) in
            try rows(limit, "WHERE (folder, name) < (?, ?) ORDER BY folder DESC, name DESC", folder, name)
        }
    }

    /// Visits all rows in order. `body` may change any of them.
    func forEach(_ body: (TreePath, Value?) throws(SystemFailure) -> Void) throws(SystemFailure) {
        var last: TreePath?
        while true {
            let page = try rows(after: last)
            for (path, value) in page { try body(path, value) }
            guard page.count == Self.page else { return }
            last = page.last?.path
        }
    }

    /// Visits all rows below a folder. `body` may change any of them.
    func forEach(
        below folder: TreePath, _ body: (TreePath, Value?) throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        guard count > 0 else { return }
        if folder.isRoot {
            return try forEach { path, value throws(SystemFailure) in if !path.isRoot { try body(path, value) } }
        }
        try forEach(in: folder, body)
        // Folders below it begin with its name and a slash; a zero is what comes after a slash.
        let slash = UInt8(ascii: "/")
        try forEach(after: (folder.bytes + [slash], []), endingBefore: folder.bytes + [slash + 1], body)
    }

    /// The next rows of what is in a folder, by name, after a path in it; the root is not in itself.
    func rows(in folder: TreePath, after path: TreePath? = nil, limit: Int) throws(SystemFailure) -> [Row] {
        try (path?.name ?? []).withBytes { name throws(SystemFailure) in
            try folder.bytes[...].withBytes { folder throws(SystemFailure) in
                try rows(limit, "WHERE folder = ? AND name > ? ORDER BY name", folder, name)
            }
        }
    }

    /// Visits all rows of what is in a folder. `body` may change any of them.
    func forEach(
        in folder: TreePath, _ body: (TreePath, Value?) throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        // The next folder's name that can be is this one's with a NUL.
        try forEach(after: (folder.bytes, []), endingBefore: folder.bytes + [0], body)
    }

    private func forEach(
        after first: (folder: [UInt8], name: [UInt8]), endingBefore end: [UInt8],
        _ body: (TreePath, Value?) throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        let condition = "WHERE (folder, name) > (?, ?) AND folder < ? ORDER BY folder, name"
        var last = first
        while true {
            let page = try last.folder[...].withBytes { lower throws(SystemFailure) in
                try last.name[...].withBytes { name throws(SystemFailure) in
                    try end[...].withBytes { upper throws(SystemFailure) in
                        try rows(Self.page, condition, lower, name, upper)
                    }
                }
            }
            for (path, value) in page { try body(path, value) }
            guard page.count == Self.page, let path = page.last?.path else { return }
            last = (path.parent.bytes, Array(path.name))
        }
    }

    private func rows(
        _ limit: Int, _ condition: String, _ keys: UnsafeRawBufferPointer...
    ) throws(SystemFailure) -> [Row] {
        guard count > 0 else { return [] }
        let statement = try store.statement("SELECT folder, name, value FROM \(name) \(condition) LIMIT \(limit)")
        var rows: [Row] = []
        let take = { (row: Statement) in
            rows.append((TreePath(folder: row.bytes(0), name: row.bytes(1)), Self.value(row.blob(2))))
        }
        switch keys.count {
        case 0: try store.run(statement, each: take)
        case 2: try store.run(statement, keys[0], keys[1], each: take)
        default: try store.run(statement, keys[0], keys[1], keys[2], each: take)
        }
        return rows
    }

    private static func value(_ bytes: UnsafeRawBufferPointer?) -> Value? {
        guard let bytes, bytes.count == MemoryLayout<Value>.size else { return nil }
        return bytes.loadUnaligned(as: Value.self)
    }
}
