/// Records by path, kept by folder: names are stored once, and one folder can be compared with the disk by itself.
struct Tree: Sendable {
    struct Child: Sendable {
        let name: [UInt8]
        var record: Record
    }

    /// The root's own record.
    private var root: Record?
    /// Sorted by name. There is a list only for folders that hold something.
    private var folders: [TreePath: [Child]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { folders.isEmpty }

    subscript(path: TreePath) -> Record? {
        get {
            guard !path.isRoot else { return root }
            guard let list = folders[path.parent] else { return nil }
            let index = Self.position(of: path.name, in: list)
            return index < list.count && list[index].name.elementsEqual(path.name) ? list[index].record : nil
        }
        set {
            if path.isRoot {
                count += (newValue == nil ? 0 : 1) - (root == nil ? 0 : 1)
                root = newValue
            } else {
                setChild(path.name, of: path.parent, to: newValue)
            }
        }
    }

    func children(of folder: TreePath) -> [Child] { folders[folder] ?? [] }

    /// Every path below `folder`, in no order.
    func paths(below folder: TreePath) -> [TreePath] {
        var paths: [TreePath] = []
        var waiting = [folder]
        while let next = waiting.popLast() {
            for child in children(of: next) {
                guard let path = next.appending(child.name) else { continue }
                paths.append(path)
                if child.record.entry.isFolder { waiting.append(path) }
            }
        }
        return paths
    }

    /// Visits every record, the root's included, in no order.
    func forEach<E: Error>(_ body: (TreePath, Record) throws(E) -> Void) throws(E) {
        if let root { try body(.root, root) }
        for (folder, list) in folders {
            for child in list {
                if let path = folder.appending(child.name) { try body(path, child.record) }
            }
        }
    }

    private mutating func setChild(_ name: ArraySlice<UInt8>, of folder: TreePath, to record: Record?) {
        // No copy of the list may be held here: it would be copied at every change.
        let index = Self.position(of: name, in: folders[folder, default: []])
        let count = folders[folder, default: []].count
        let exists = index < count && folders[folder, default: []][index].name.elementsEqual(name)
        switch (record, exists) {
        case (let record?, true): folders[folder]?[index].record = record
        case (let record?, false):
            folders[folder, default: []].insert(Child(name: Array(name), record: record), at: index)
            self.count += 1
        case (nil, true):
            folders[folder]?.remove(at: index)
            if count == 1 { folders[folder] = nil }
            self.count -= 1
        case (nil, false): break
        }
    }

    /// Where `name` is or would be.
    private static func position(of name: ArraySlice<UInt8>, in list: [Child]) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle].name[...].lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
