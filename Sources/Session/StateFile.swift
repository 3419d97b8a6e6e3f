import Glibc

/// A small text file in a daemon's state directory, always replaced as a whole: a crash leaves the old text or the new one.
struct StateFile: Sendable {
    /// Longer ones were not written by this type.
    private static let limit = 64 << 10

    let path: String

    init(directory: String, name: String) { path = "\(directory)/\(name)" }

    /// What it holds; nil where it is missing or cannot be read.
    func read() -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: Self.limit)
        let count = Glibc.read(file, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Replaces the text, durably.
    /// - Throws: `.invalid` with the path and the system's reason.
    func write(_ text: String) throws(SessionError) {
        let fresh = path + ".new"
        let file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        close(file)
        guard isWritten, rename(fresh, path) == 0 else {
            unlink(fresh)
            throw failure
        }
    }

    private var failure: SessionError {
        let reason = String(cString: strerror(errno))
        return SessionError(
            .invalid, "\(path) cannot be written (\(reason)); give the daemon a state directory of its own")
    }
}
