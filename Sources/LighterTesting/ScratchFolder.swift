import Glibc

/// A folder of a test's own with a random name, removed with everything in it when the last reference goes.
package final class ScratchFolder: Sendable {
    /// Short enough for a Unix socket within it.
    package let path: String

    package init() throws {
        var template = Array("/tmp/lighter-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ScratchError(errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package struct ScratchError: Error {
        package let errno: Int32
    }

    package func file(_ name: String) -> String { "\(path)/\(name)" }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            var names: [String] = []
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: entry.pointee.d_name) { tuple in
                    tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            closedir(folder)
            for name in names { removeEntry("\(path)/\(name)") }
        }
        rmdir(path)
    }

    private static func removeEntry(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR { remove(path) } else { unlink(path) }
    }
}
