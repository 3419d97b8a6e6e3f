#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A directory (0700) of small files, some of them secret (0600), replaced together or not at all.
///
/// A new set is first written beside the old one (`NAME.new`), then sealed by the file `new.complete`, then renamed
/// file by file. A reader that finds the seal takes the new files; without it the old ones are whole. One writer at a
/// time.
package struct SecretDirectory: Sendable {
    package struct File: Sendable {
        package var name: String
        package var bytes: [UInt8]
        /// Whether only the owner may read it.
        package var isSecret: Bool

        package init(_ name: String, _ bytes: [UInt8], isSecret: Bool = false) {
            self.name = name
            self.bytes = bytes
            self.isSecret = isSecret
        }
    }

    package let path: String
    private static let seal = "new.complete"
    /// No file here is near as large; what is larger is not ours.
    private static let sizeLimit = 1 << 20

    package init(_ path: String) { self.path = path }

    // MARK: Writing

    /// Replaces the files named, durably: after a crash at any moment a reader sees all of them old, or all of them
    /// new.
    ///
    /// - Throws: `fileSystem` with the path and the reason.
    package func replace(_ files: [File]) throws(TrustError) {
        try create()
        try finishReplacing()
        for file in files { try write(file, as: file.name + ".new") }
        try synchronise()
        let names = files.map(\.name).joined(separator: "\n")
        try write(File(Self.seal, Array(names.utf8)), as: Self.seal + ".part")
        try rename(Self.seal + ".part", to: Self.seal)
        try synchronise()
        try finishReplacing()
    }

    private func create() throws(TrustError) {
        var parent = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            parent += parent.isEmpty && !path.hasPrefix("/") ? String(part) : "/\(part)"
            let mode: mode_t = parent == path ? 0o700 : 0o755
            if mkdir(parent, mode) != 0, errno != EEXIST { throw failure("create", parent) }
        }
        if chmod(path, 0o700) != 0 { throw failure("protect", path) }
    }

    /// Does what a sealed set still lacks.
    private func finishReplacing() throws(TrustError) {
        guard let names = try sealedNames() else { return }
        for name in names where access(path(name + ".new"), F_OK) == 0 { try rename(name + ".new", to: name) }
        try synchronise()
        if unlink(path(Self.seal)) != 0, errno != ENOENT { throw failure("remove", path(Self.seal)) }
        try synchronise()
    }

    private func write(_ file: File, as name: String) throws(TrustError) {
        let target = path(name)
        // A leftover's permissions would be kept, so it goes first.
        if unlink(target) != 0, errno != ENOENT { throw failure("replace", target) }
        let descriptor = open(
            target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file.isSecret ? 0o600 : 0o644)
        guard descriptor >= 0 else { throw failure("create", target) }
        defer { close(descriptor) }
        var written = 0
        while written < file.bytes.count {
            let count = file.bytes[written...].withUnsafeBytes { posixWrite(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", target) }
            written += count
        }
        if fsync(descriptor) != 0 { throw failure("write", target) }
    }

    private func rename(_ from: String, to: String) throws(TrustError) {
        if posixRename(path(from), path(to)) != 0 { throw failure("replace", path(to)) }
    }

    private func synchronise() throws(TrustError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw failure("write", path) }
    }

    // MARK: Reading

    /// Whether a set of files is there at all.
    package func contains(_ name: String) -> Bool {
        access(path(name), F_OK) == 0 || access(path(name + ".new"), F_OK) == 0 && access(path(Self.seal), F_OK) == 0
    }

    /// The bytes of one file of the newest whole set.
    ///
    /// - Parameter isSecret: refuses a file that others than its owner may read.
    /// - Throws: `missingFile`, `unsafePermissions`, `corruptFile` (too large) or `fileSystem`.
    package func read(_ name: String, isSecret: Bool = false) throws(TrustError) -> [UInt8] {
        let sealed = try sealedNames()?.contains(name) ?? false
        let isNew = sealed && access(path(name + ".new"), F_OK) == 0
        return try readFile(path(isNew ? name + ".new" : name), isSecret: isSecret)
    }

    private func sealedNames() throws(TrustError) -> [String]? {
        let seal = path(Self.seal)
        guard access(seal, F_OK) == 0 else { return nil }
        return String(decoding: try readFile(seal, isSecret: false), as: UTF8.self).split(separator: "\n").map(
            String.init)
    }

    private func readFile(_ path: String, isSecret: Bool) throws(TrustError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT {
                throw TrustError(.missingFile, "\(path) is missing; join a fleet first, or restore it from a backup")
            }
            throw failure("open", path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("read", path) }
        if isSecret, status.st_mode & 0o077 != 0 {
            throw TrustError(
                .unsafePermissions,
                "\(path) holds a secret that other users may read or write; run: chmod 600 '\(path)'")
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.sizeLimit else {
            throw TrustError(.corruptFile, "\(path) is not a file of Lighter's; restore it from a backup")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let got = bytes[count...].withUnsafeMutableBytes { posixRead(descriptor, $0.baseAddress, $0.count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure("read", path) }
            if got == 0 { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }

    private func path(_ name: String) -> String { "\(path)/\(name)" }

    private func failure(_ verb: String, _ path: String) -> TrustError {
        let number = errno
        return TrustError(.fileSystem, "cannot \(verb) \(path): \(String(cString: strerror(number)))")
    }
}

// The methods above have the names of the calls that they make.
private func posixRename(_ from: String, _ to: String) -> CInt { rename(from, to) }
private func posixWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    guard let bytes else { return 0 }
    return write(descriptor, bytes, count)
}
private func posixRead(_ descriptor: CInt, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    guard let bytes else { return 0 }
    return read(descriptor, bytes, count)
}
