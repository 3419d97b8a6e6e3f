/// The origin's paths that differ from the base, by folder; a nil record says that the path is gone.
struct Overlay: Sendable {
    private var folders: [TreePath: [[UInt8]: Record?]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Nil where the path does not differ from the base.
    func record(at path: TreePath) -> Record?? { folders[path.parent]?[Array(path.name)] }

    func children(of folder: TreePath) -> [[UInt8]: Record?] {
        var children = folders[folder] ?? [:]
        if folder.isRoot { children[[]] = nil }
        return children
    }

    mutating func set(_ path: TreePath, to record: Record?) {
        if folders[path.parent, default: [:]].updateValue(record, forKey: Array(path.name)) == nil { count += 1 }
    }

    mutating func remove(_ path: TreePath) {
        guard folders[path.parent]?.removeValue(forKey: Array(path.name)) != nil else { return }
        count -= 1
        if folders[path.parent]?.isEmpty == true { folders[path.parent] = nil }
    }

    var paths: [TreePath] {
        folders.flatMap { folder, children in
            children.keys.compactMap { $0.isEmpty ? TreePath.root : folder.appending($0) }
        }
    }
}
