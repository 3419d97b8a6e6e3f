import Glibc
import LighterTesting
import CFileAttributes

struct DiskError: Error {
    let call: String
    let reason: String
}

private func check(_ result: Int32, _ call: String) throws {
    if result < 0 { throw DiskError(call: call, reason: String(cString: strerror(errno))) }
}

/// A folder on the disk, as tests change and look at it.
struct Disk: Sendable {
    let path: String

    func at(_ name: String) -> String { name.isEmpty ? path : "\(path)/\(name)" }

    func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        try check(file, "open \(name)")
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            try check(Int32(clamping: count), "write \(name)")
            written += count
        }
    }

    func read(_ name: String) -> [UInt8]? {
        let file = open(at(name), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        fstat(file, &status)
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress.map { $0 + filled }, $0.count - filled)
            }
            if count <= 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }

    func text(_ name: String) -> String? { read(name).map { String(decoding: $0, as: UTF8.self) } }

    func status(_ name: String) -> stat? {
        var status = stat()
        return lstat(at(name), &status) == 0 ? status : nil
    }

    func exists(_ name: String) -> Bool { status(name) != nil }
    func folder(_ name: String) throws { try check(mkdir(at(name), 0o755), "mkdir \(name)") }
    func link(_ name: String, to text: String) throws { try check(symlink(text, at(name)), "symlink \(name)") }
    func hardLink(_ name: String, to other: String) throws {
        try check(Glibc.link(at(other), at(name)), "link \(name)")
    }
    func mode(_ name: String, _ mode: mode_t) throws { try check(chmod(at(name), mode), "chmod \(name)") }
    func remove(_ name: String) throws { try check(unlink(at(name)), "unlink \(name)") }
    func rename(_ name: String, to other: String) throws {
        try check(Glibc.rename(at(name), at(other)), "rename \(name)")
    }
    func attribute(_ name: String, _ key: String, _ value: String) throws {
        try check(setxattr(at(name), key, value, value.utf8.count, 0), "setxattr \(name)")
    }

    /// Sets the time back, so that it differs from whatever else happens in a test.
    func age(_ name: String, seconds: Int) throws {
        let time = timespec(tv_sec: seconds, tv_nsec: 123_456_789)
        try check(utimensat(AT_FDCWD, at(name), [time, time], AT_SYMLINK_NOFOLLOW), "utimensat \(name)")
    }

    func removeAll(_ name: String) throws {
        guard let status = status(name) else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for inner in names(name) { try removeAll("\(name)/\(inner)") }
            try check(rmdir(at(name)), "rmdir \(name)")
        } else {
            try remove(name)
        }
    }

    /// The names in a folder that are text.
    func names(_ name: String = "") -> [String] {
        guard let folder = opendir(at(name)) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    }

    /// Everything that should be the same at both sides, a line for each path.
    func snapshot() -> [String] {
        var lines: [String] = []
        var groups: [UInt: String] = [:]
        func visit(_ folder: String) {
            for name in names(folder) {
                let path = folder.isEmpty ? name : "\(folder)/\(name)"
                guard let status = status(path) else { continue }
                var line = "\(Array(path.utf8)) \(path) \(String(status.st_mode, radix: 8)) \(status.st_uid)"
                switch status.st_mode & S_IFMT {
                case S_IFREG:
                    line += " \(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) \(contentHash(path))"
                    let first = groups[UInt(status.st_ino), default: path]
                    groups[UInt(status.st_ino)] = first
                    line += " =\(first)"
                case S_IFLNK: line += " -> \(linkText(path))"
                default: break
                }
                line += " \(attributes(path))"
                lines.append(line)
                if status.st_mode & S_IFMT == S_IFDIR { visit(path) }
            }
        }
        visit("")
        return lines
    }

    private func contentHash(_ name: String) -> UInt64 {
        (read(name) ?? []).reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    func linkText(_ name: String) -> String {
        var text = [CChar](repeating: 0, count: 4096)
        let count = readlink(at(name), &text, text.count)
        return String(decoding: text.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func attributes(_ name: String) -> [String] {
        var list = [CChar](repeating: 0, count: 4096)
        let count = llistxattr(at(name), &list, list.count)
        let keys = list.prefix(max(0, count)).map { UInt8(bitPattern: $0) }.split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }.filter { $0.hasPrefix("user.") }
        return keys.sorted().map { key in
            var value = [UInt8](repeating: 0, count: 4096)
            let count = lgetxattr(at(name), key, &value, value.count)
            return "\(key)=\(String(decoding: value.prefix(max(0, count)), as: UTF8.self))"
        }
    }

    /// Whether any temporary file of a sync is left.
    var hasTemporaryFiles: Bool { snapshot().contains { $0.contains(".lighter-") } }
}
