package import Fleet
import Glibc

/// A folder or file as it is, before it is a mount.
package enum MountTree {
    /// How much there is to mirror.
    package struct Size: Sendable, Hashable {
        /// Paths of any kind, the root's own not included unless it is a file.
        package var paths = 0
        package var bytes = ByteCount.zero
        /// Whether counting was stopped at the bound; there is more.
        package var isPartial = false
    }

    /// Counts without reading any content; what `.lighterignore` leaves out is not counted. Blocks: call it on a pool.
    ///
    /// - Parameter bound: Counting stops once there are more bytes than this.
    /// - Throws: `.originLost` where the path is missing or cannot be read.
    package static func measure(_ path: String, stoppingAbove bound: ByteCount? = nil) throws(MountError) -> Size {
        do throws(SystemFailure) {
            let root = try RootFolder(path)
            var size = Size()
            guard !root.isFile else {
                let place = try root.place(of: .root)
                size = Size(paths: 1, bytes: ByteCount(try place.folder.status(place.name)?.size ?? 0))
                size.isPartial = bound.map { size.bytes > $0 } ?? false
                return size
            }
            var counter = Counter(root: root, rules: try rules(of: root), bound: bound)
            try counter.count()
            return counter.size
        } catch {
            throw MountError(.originLost, "\(path) cannot be mounted: \(error)", cause: error)
        }
    }

    static func rules(of root: RootFolder) throws(SystemFailure) -> IgnoreRules {
        do throws(SystemFailure) {
            let file = try root.open(.root).file(IgnoreRules.fileName)
            var text = [UInt8](repeating: 0, count: IgnoreRules.limit)
            let count = try file.read(into: &text, count: text.count, at: 0)
            return IgnoreRules(Array(text[..<count]))
        } catch {
            guard error.isAbsence || error.code == EISDIR else { throw error }
            return .none
        }
    }

    private struct Counter {
        let root: RootFolder
        let rules: IgnoreRules
        let bound: ByteCount?
        var size = Size()
        /// Files with several names are counted once.
        private var seen: Set<UInt64> = []
        private var waiting = [TreePath.root]

        init(root: RootFolder, rules: IgnoreRules, bound: ByteCount?) {
            self.root = root
            self.rules = rules
            self.bound = bound
        }

        mutating func count() throws(SystemFailure) {
            while !size.isPartial, let path = waiting.popLast() {
                do throws(SystemFailure) {
                    try count(path)
                } catch {
                    if path.isRoot { throw error }
                }
            }
        }

        private mutating func count(_ path: TreePath) throws(SystemFailure) {
            let folder = try root.open(path)
            let listing = try folder.listing()
            while case let names = try listing.next(Self.namesAtOnce), !names.isEmpty {
                for name in names { try count(name, of: path, in: folder) }
                if size.isPartial { return }
            }
        }

        private static let namesAtOnce = 4096

        private mutating func count(
            _ name: [UInt8], of path: TreePath, in folder: OpenFolder
        ) throws(SystemFailure) {
            guard let child = path.appending(name), let status = try folder.status(name), let kind = status.kind,
                !rules.ignores(child, isFolder: kind == .folder)
            else { return }
            size.paths += 1
            if kind == .folder { waiting.append(child) }
            guard kind == .file, status.links == 1 || seen.insert(status.inode).inserted else { return }
            size.bytes += ByteCount(status.size)
            if let bound, size.bytes > bound { size.isPartial = true }
        }
    }
}
