internal import FoundationEssentials
internal import Glibc
internal import Images
internal import NIOCore

/// What was said in the last session of BuildKit of each folder with each node, so that the next one says only what differs.
///
/// Bounded; those that were used least recently go first. What was cut short by a crash is taken for another memory, which no
/// node has.
struct SessionMemory: Sendable {
    /// Of all together, in bytes.
    private static let limit: Int64 = 64 << 20

    private let folder: String
    private let path: String

    /// - Parameters:
    ///   - folder: of all memories; made when it is not there.
    ///   - key: what tells a folder and a node from others.
    init(folder: String, key: String) {
        self.folder = folder
        path = "\(folder)/\(ContextFrame.digest(of: ByteBuffer(string: key)).short)"
    }

    func load() -> ByteBuffer? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, (1...2 * PackedStream.memoryLimit).contains(Int(status.st_size)) else {
            return nil
        }
        var bytes = ByteBuffer()
        let size = Int(status.st_size)
        let count = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) {
            max(0, read(file, $0.baseAddress, size))
        }
        futimens(file, nil)
        return count == size ? bytes : nil
    }

    func save(_ memory: ByteBuffer) {
        if let end = folder.lastIndex(of: "/") { mkdir(String(folder[..<end]), 0o700) }
        mkdir(folder, 0o700)
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        let count = memory.withUnsafeReadableBytes { write(file, $0.baseAddress, $0.count) }
        close(file)
        if count != memory.readableBytes { unlink(path) }
        sweep()
    }

    private func sweep() {
        var found: [(path: String, used: Int, size: Int64)] = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            var status = stat()
            guard lstat("\(folder)/\(name)", &status) == 0 else { continue }
            found.append(("\(folder)/\(name)", status.st_mtim.tv_sec, Int64(status.st_size)))
        }
        var total = found.reduce(0) { $0 + $1.size }
        for memory in found.sorted(by: { $0.used < $1.used }) where total > Self.limit {
            unlink(memory.path)
            total -= memory.size
        }
    }
}
