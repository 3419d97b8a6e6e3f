/// The names of files that have several, by inode; checked when they are used.
final class NameBook {
    private let store: Store
    private let insert: Statement
    /// A page of a file's names.
    private let find: Statement
    private var isEmpty = true

    private static let page = 64

    init(in store: Store) throws(SystemFailure) {
        self.store = store
        try store.run(
            """
            CREATE TABLE names (inode INTEGER, folder BLOB, name BLOB, PRIMARY KEY (inode, folder, name)) WITHOUT ROWID
            """)
        insert = try store.statement("INSERT OR IGNORE INTO names (folder, name, inode) VALUES (?, ?, ?)")
        find = try store.statement(
            """
            SELECT folder, name FROM names WHERE inode = ?3 AND (folder, name) > (?1, ?2)
            ORDER BY folder, name LIMIT \(Self.page)
            """)
    }

    func note(_ path: TreePath, of inode: UInt64) throws(SystemFailure) {
        isEmpty = false
        try path.withKey { folder, name throws(SystemFailure) in
            insert.bind(Int64(bitPattern: inode), at: 3)
            try store.run(insert, folder, name)
        }
    }

    /// The first of the file's names that is fit. The root has no second name.
    func first(
        of inode: UInt64, where isFit: (TreePath) throws(SystemFailure) -> Bool
    ) throws(SystemFailure) -> TreePath? {
        guard !isEmpty else { return nil }
        var last = TreePath.root
        while true {
            var names: [TreePath] = []
            try last.withKey { folder, name throws(SystemFailure) in
                find.bind(Int64(bitPattern: inode), at: 3)
                try store.run(find, folder, name) { names.append(TreePath(folder: $0.bytes(0), name: $0.bytes(1))) }
            }
            for path in names where try isFit(path) { return path }
            guard names.count == Self.page, let next = names.last else { return nil }
            last = next
        }
    }
}
