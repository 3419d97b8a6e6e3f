internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Bytes that do not fit into memory and are needed more than once; a file without a name, gone with its last user.
final class Spool: Sendable {
    private static let pieceSize = 256 << 10

    private let file: Int32
    private let pool = NIOThreadPool.singleton

    /// - Parameter folder: made when it is not there.
    /// - Throws: `.spool` when nothing can be written there.
    init(folder: String) throws(FrontDoorError) {
        mkdir(folder, 0o700)
        var path = Array("\(folder)/spool-XXXXXX".utf8CString)
        file = mkstemp(&path)
        guard file >= 0 else {
            throw FrontDoorError(.spool, "cannot write to \(folder): \(String(cString: strerror(errno)))")
        }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        unlink(path)
    }

    deinit { close(file) }

    func append(_ bytes: ByteBuffer) async throws {
        let file = file
        try await pool.runIfActive {
            var rest = bytes
            while rest.readableBytes > 0 {
                let count = rest.withUnsafeReadableBytes { write(file, $0.baseAddress, $0.count) }
                guard count > 0 else {
                    throw FrontDoorError(.spool, "no room for a build's context: \(String(cString: strerror(errno)))")
                }
                rest.moveReaderIndex(forwardBy: count)
            }
        }
    }

    /// The piece that begins at `offset`, up to `end`; nil at the end.
    func piece(at offset: Int64, to end: Int64) async throws -> ByteBuffer? {
        guard offset < end else { return nil }
        let file = file
        let size = Int(min(Int64(Self.pieceSize), end - offset))
        return try await pool.runIfActive {
            var buffer = ByteBuffer()
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) {
                max(0, pread(file, $0.baseAddress, size, off_t(offset)))
            }
            guard count > 0 else { throw FrontDoorError(.spool, "a build's context cannot be read again") }
            return buffer
        }
    }
}
