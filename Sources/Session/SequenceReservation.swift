import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Sequence numbers that grow across restarts, at the price of one `fsync` per block of a million.
///
/// The file holds, in decimal, the first number that was never handed out. Where it is missing or corrupt, numbers start at
/// the microseconds since 1970: no node reports a million times a second, so that is above all that it ever used.
struct SequenceReservation {
    static let block: UInt64 = 1_000_000
    private static let fileName = "sequence"

    private let path: String
    private var next: UInt64
    private var reservedTo: UInt64

    /// - Throws: `.invalid` when the state directory cannot be written.
    init(directory: String) throws(SessionError) {
        path = directory + "/" + Self.fileName
        let clock = UInt64(max(0, Date().timeIntervalSince1970) * 1_000_000)
        let stored = Self.load(path) ?? clock
        // A number that is centuries ahead was not written by this type.
        next = stored > clock &+ (1 << 60) ? clock : stored
        reservedTo = next
        try reserve()
    }

    /// The next number. When the next block cannot be saved, counting goes on: a gap is made at the next start instead.
    mutating func take() -> UInt64 {
        if next >= reservedTo {
            do { try reserve() } catch { reservedTo = next + Self.block }
        }
        defer { next += 1 }
        return next
    }

    private mutating func reserve() throws(SessionError) {
        let end = next + Self.block
        try Self.save(end, to: path)
        reservedTo = end
    }

    private static func load(_ path: String) -> UInt64? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(file, &bytes, bytes.count)
        guard count > 1, bytes[count - 1] == UInt8(ascii: "\n") else { return nil }
        return UInt64(String(decoding: bytes[..<(count - 1)], as: UTF8.self))
    }

    /// Replaces the file in one step, so that a crash leaves the old number or the new one.
    private static func save(_ number: UInt64, to path: String) throws(SessionError) {
        let fresh = path + ".new"
        let file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path) }
        let text = Array("\(number)\n".utf8)
        let isWritten = write(file, text, text.count) == text.count && fsync(file) == 0
        close(file)
        guard isWritten, rename(fresh, path) == 0 else {
            unlink(fresh)
            throw failure(path)
        }
    }

    private static func failure(_ path: String) -> SessionError {
        let reason = String(cString: strerror(errno))
        return SessionError(
            .invalid, "\(path) cannot be written (\(reason)); give the daemon a state directory of its own")
    }
}
