import Glibc

/// A mount's root, opened once: every path is walked from here, name by name, and no link is followed on the way.
///
/// A root that is a single file is a name in the folder that holds it.
struct RootFolder: Sendable {
    let path: String
    private let folder: OpenFolder
    /// The name of a root that is a single file.
    let fileName: [UInt8]?
    private let identity: FileStatus

    var isFile: Bool { fileName != nil }
    var inode: UInt64 { identity.inode }

    /// - Parameter isFile: What the root is; nil to take what is there.
    init(_ path: String, isFile: Bool? = nil) throws(SystemFailure) {
        var status = stat()
        let exists = stat(path, &status) == 0
        guard exists || isFile == true else { throw .last }
        let isFile = isFile ?? (status.st_mode & S_IFMT == S_IFREG)
        let resolved = Self.resolve(path, exists: exists)
        self.path = resolved
        guard isFile else {
            fileName = nil
            folder = try OpenFolder.open(trusted: resolved)
            identity = try folder.descriptor.status()
            return
        }
        let slash = resolved.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = slash.map { resolved.utf8[resolved.utf8.index(after: $0)...] } ?? resolved.utf8[...]
        guard TreePath.isName(name) else { throw SystemFailure(EINVAL) }
        fileName = Array(name)
        let parent = slash.map { String(decoding: resolved.utf8[...$0], as: UTF8.self) } ?? "."
        folder = try OpenFolder.open(trusted: parent)
        identity = try folder.descriptor.status()
    }

    /// The caller's own path may lead through links; nothing below it may.
    private static func resolve(_ path: String, exists: Bool) -> String {
        guard exists, let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// Whether the path still leads to what was opened.
    var isInPlace: Bool {
        let path = isFile ? String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)) + "/" : path
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        let found = FileStatus(status)
        return found.inode == identity.inode && found.device == identity.device
    }

    /// - Throws: A failure that `isAbsence` where a name on the way is missing, a file or a link.
    func open(_ path: TreePath) throws(SystemFailure) -> OpenFolder {
        var current = folder
        for name in path.names { current = try current.folder(name) }
        return current
    }

    /// The folder that holds `path`, and the name there; for the root of a folder that is `.` in itself.
    func place(of path: TreePath) throws(SystemFailure) -> (folder: OpenFolder, name: [UInt8]) {
        guard path.isRoot else { return (try open(path.parent), Array(path.name)) }
        return (folder, fileName ?? [UInt8(ascii: ".")])
    }
}
