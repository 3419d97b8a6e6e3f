internal import CFileAttributes
import Glibc

/// A folder that is open: everything in it is reached by one name at a time, and no link is ever followed.
struct OpenFolder: Sendable {
    let descriptor: Descriptor

    private var number: Int32 { descriptor.number }

    /// Opens a path of this side's own, which may lead through links.
    static func open(trusted path: String) throws(SystemFailure) -> OpenFolder {
        OpenFolder(descriptor: try Descriptor(Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)))
    }

    func folder(_ name: some Collection<UInt8>) throws(SystemFailure) -> OpenFolder {
        let found = withCString(name) { openat(number, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        return OpenFolder(descriptor: try Descriptor(found))
    }

    /// Opens for reading; never waits, even where a FIFO has taken the file's place.
    func file(_ name: some Collection<UInt8>, writable: Bool = false) throws(SystemFailure) -> Descriptor {
        let flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY
        return try Descriptor(withCString(name) { openat(number, $0, flags) })
    }

    /// Opens a regular file, and nothing else that has taken its place meanwhile: to open a device can be to act on it.
    ///
    /// Fails with `ENXIO` for anything else.
    /// - Parameter device: where it has to be; nil for anywhere.
    func regularFile(
        _ name: some Collection<UInt8>, on device: dev_t? = nil, writable: Bool = false
    ) throws(SystemFailure) -> Descriptor {
        let found = try place(name, of: S_IFREG, on: device)
        let flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY
        return try Descriptor(withExtendedLifetime(found) { Glibc.open("/proc/self/fd/\(found.number)", flags) })
    }

    /// The mode of what has been made there, of that kind and no other.
    func setMode(of name: some Collection<UInt8>, of kind: mode_t, to mode: mode_t) throws(SystemFailure) {
        let found = try place(name, of: kind, on: nil)
        guard withExtendedLifetime(found, { chmod("/proc/self/fd/\(found.number)", mode) }) == 0 else { throw .last }
    }

    /// What stands there, without opening it.
    private func place(
        _ name: some Collection<UInt8>, of kind: mode_t, on device: dev_t?
    ) throws(SystemFailure) -> Descriptor {
        let flags = Int32(lighter_path_only) | O_NOFOLLOW | O_CLOEXEC
        let found = try Descriptor(withCString(name) { openat(number, $0, flags) })
        var status = stat()
        guard fstat(found.number, &status) == 0 else { throw .last }
        guard status.st_mode & S_IFMT == kind, device.map({ $0 == status.st_dev }) ?? true else {
            throw SystemFailure(ENXIO)
        }
        return found
    }

    /// A new file that only its owner can read.
    func create(_ name: some Collection<UInt8>) throws(SystemFailure) -> Descriptor {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        return try Descriptor(withCString(name) { openat(number, $0, flags, 0o600) })
    }

    /// Nil where there is nothing.
    func status(_ name: some Collection<UInt8>) throws(SystemFailure) -> FileStatus? {
        var status = stat()
        guard withCString(name, { fstatat(number, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            if errno == ENOENT { return nil }
            throw .last
        }
        return FileStatus(status)
    }

    func readLink(_ name: some Collection<UInt8>) throws(SystemFailure) -> [UInt8] {
        var text = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = withCString(name) { readlinkat(number, $0, &text, text.count) }
        guard count >= 0 else { throw .last }
        return text[..<count].map { UInt8(bitPattern: $0) }
    }

    func makeFolder(_ name: some Collection<UInt8>) throws(SystemFailure) {
        guard withCString(name, { mkdirat(number, $0, 0o700) }) == 0 else { throw .last }
    }

    func makeLink(_ name: some Collection<UInt8>, to text: [UInt8]) throws(SystemFailure) {
        let result = withCString(text) { text in withCString(name) { symlinkat(text, number, $0) } }
        guard result == 0 else { throw .last }
    }

    /// Gives a file of `folder` another name here.
    func makeName(
        _ name: some Collection<UInt8>, for other: some Collection<UInt8>, in folder: OpenFolder
    ) throws(SystemFailure) {
        let result = withCString(other) { other in withCString(name) { linkat(folder.number, other, number, $0, 0) } }
        guard result == 0 else { throw .last }
    }

    func rename(_ name: some Collection<UInt8>, to other: some Collection<UInt8>) throws(SystemFailure) {
        let result = withCString(name) { name in withCString(other) { renameat(number, name, number, $0) } }
        guard result == 0 else { throw .last }
    }

    func remove(_ name: some Collection<UInt8>, isFolder: Bool) throws(SystemFailure) {
        guard withCString(name, { unlinkat(number, $0, isFolder ? AT_REMOVEDIR : 0) }) == 0 else { throw .last }
    }

    /// The names in it, in no order, without `.` and `..`.
    func names() throws(SystemFailure) -> [[UInt8]] { try listing().next(.max) }

    /// The same, a part at a time: a folder may have any number of them.
    func listing() throws(SystemFailure) -> FolderListing {
        // A descriptor of its own: the stream moves its position and closes it.
        try FolderListing(openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }
}
