/// Remembers the folder that was opened last, for work that goes through a tree in order.
///
/// Of short life: what it holds open may be moved away meanwhile.
struct FolderCursor {
    let root: RootFolder
    private var last: (path: TreePath, folder: OpenFolder)?

    init(_ root: RootFolder) { self.root = root }

    /// As `RootFolder.place(of:)`.
    mutating func place(of path: TreePath) throws(SystemFailure) -> (folder: OpenFolder, name: [UInt8]) {
        guard !path.isRoot else { return try root.place(of: path) }
        if let last, last.path == path.parent { return (last.folder, Array(path.name)) }
        let folder = try root.open(path.parent)
        last = (path.parent, folder)
        return (folder, Array(path.name))
    }

    /// To be called when a folder is renamed or removed.
    mutating func forget() { last = nil }
}
