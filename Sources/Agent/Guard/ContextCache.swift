import Engine
import Fleet
import FoundationEssentials
import Glibc
import Images
import NIOCore

/// The chunks of build contexts that a node has sent here, and what was said in its sessions of BuildKit, so that its next
/// build sends only what differs.
///
/// Each node has a shelf of its own: what one has sent, another can neither learn of nor use. Bounded; the chunks that
/// were used least recently go first, and a build that finds one gone happens on its device.
final class ContextCache: ChunkStore, Sendable {
    /// Bytes that one node's chunks may take.
    static let limit: Int64 = 2 << 30
    /// Chunks of one question.
    static let askLimit = 32 << 10

    private let shelf: String

    /// - Parameter folder: of all nodes' chunks.
    init(folder: String, origin: NodeID) {
        shelf = "\(folder)/\(origin)"
    }

    func has(_ digest: LayerDigest) -> Bool { access(path(digest), F_OK) == 0 }

    func load(_ digest: LayerDigest) -> ByteBuffer? {
        let file = open(path(digest), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { return nil }
        var bytes = ByteBuffer()
        let size = Int(status.st_size)
        let count = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) {
            max(0, read(file, $0.baseAddress, size))
        }
        // One that was cut short by a crash is none.
        guard count == size, ContextFrame.digest(of: bytes) == digest else {
            unlink(path(digest))
            return nil
        }
        futimens(file, nil)
        return bytes
    }

    func save(_ digest: LayerDigest, _ bytes: ByteBuffer) {
        var made = ""
        for part in path(digest).split(separator: "/").dropLast() {
            made += "/\(part)"
            mkdir(made, 0o700)
        }
        let file = open(path(digest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        let count = bytes.withUnsafeReadableBytes { write(file, $0.baseAddress, $0.count) }
        if count != bytes.readableBytes { unlink(path(digest)) }
    }

    func remove(_ digest: LayerDigest) { unlink(path(digest)) }

    private func path(_ digest: LayerDigest) -> String { "\(shelf)/\(digest.hex.prefix(2))/\(digest.hex)" }

    /// Brings every node's chunks back below the limit.
    static func sweep(_ folder: String, limit: Int64 = limit) {
        let files = FileManager.default
        for origin in (try? files.contentsOfDirectory(atPath: folder)) ?? [] {
            var found: [(path: String, used: Int, size: Int64)] = []
            for part in (try? files.contentsOfDirectory(atPath: "\(folder)/\(origin)")) ?? [] {
                for name in (try? files.contentsOfDirectory(atPath: "\(folder)/\(origin)/\(part)")) ?? [] {
                    let path = "\(folder)/\(origin)/\(part)/\(name)"
                    var status = stat()
                    guard lstat(path, &status) == 0 else { continue }
                    found.append((path, status.st_mtim.tv_sec, Int64(status.st_size)))
                }
            }
            var total = found.reduce(0) { $0 + $1.size }
            for chunk in found.sorted(by: { $0.used < $1.used }) where total > limit {
                unlink(chunk.path)
                total -= chunk.size
            }
        }
    }
}
