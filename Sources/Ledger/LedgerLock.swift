#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Holds a ledger for one gateway: an exclusive lock on a file beside it, which the kernel drops when the process ends.
final class LedgerLock: Sendable {
    private let descriptor: CInt

    /// - Throws: `locked`, with the holder's process id, or `readOnly`.
    init(path: String) throws(LedgerError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw LedgerError(.readOnly, "cannot open \(path): \(reason); give the gateway's user write access there")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = max(0, read(descriptor, &buffer, buffer.count))
            let holder = String(decoding: buffer.prefix(count), as: UTF8.self).filter(\.isNumber)
            close(descriptor)
            throw LedgerError(
                .locked,
                "another gateway\(holder.isEmpty ? "" : " (process \(holder))") uses the ledger \(path.dropLast(5)); "
                    + "stop it first, or give this one a directory of its own")
        }
        let id = Array("\(getpid())\n".utf8)
        // Only a hint for people, so a full disk does not matter here.
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, id, id.count, 0) }
    }

    deinit { close(descriptor) }
}
