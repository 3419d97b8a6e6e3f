import Engine
import Fleet
import FoundationEssentials
import Glibc
import Images
import NIOCore

/// Layers of images that are on their way here, for as long as their image is not whole.
///
/// One folder for each node: what one has sent, another can neither learn of nor use. A file is a beginning of its layer, and
/// may be written by two at once, as what they write is the same.
final class LayerStore: LayerShelf {
    /// Bytes of all nodes' layers.
    static let limit: Int64 = 8 << 30
    /// Seconds for which one is kept.
    static let lifetime = 86_400.0
    /// Smaller layers are sent again faster than they are looked for.
    static let smallest: Int64 = 256 << 10
    /// Layers of which a node is told.
    static let listLimit = 256
    /// Bytes between two looks at the disk.
    private static let stride: Int64 = 32 << 20

    private let folder: String
    private let hasRoom: () -> Bool
    private var file: Int32 = -1
    private var path = ""
    private var end: Int64 = 0
    private var unchecked: Int64 = 0
    private var total: Int64 = 0
    private var touched: Set<String> = []

    /// - Parameters:
    ///   - folder: of all nodes' layers.
    ///   - hasRoom: whether the disk may be filled further.
    init(folder: String, origin: NodeID, hasRoom: @escaping () -> Bool) {
        self.folder = "\(folder)/\(origin)"
        self.hasRoom = hasRoom
    }

    deinit { close() }

    /// How many bytes of each layer are here.
    func kept() -> [LayerDigest: Int64] {
        var found: [LayerDigest: Int64] = [:]
        for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
            var status = stat()
            guard found.count < Self.listLimit, let layer = LayerDigest(imageID: name),
                lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0
            else { continue }
            found[layer] = Int64(status.st_size)
        }
        return found
    }

    func begin(_ layer: LayerDigest, size: Int64, kept: Int64) -> Bool {
        close()
        guard kept > 0 || size >= Self.smallest, total < Self.limit, hasRoom() || kept > 0 else { return false }
        var made = ""
        for part in folder.split(separator: "/") {
            made += "/\(part)"
            mkdir(made, 0o700)
        }
        path = "\(folder)/\(layer.hex)"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        var status = stat()
        guard file >= 0, fstat(file, &status) == 0, Int64(status.st_size) >= kept else {
            close()
            return false
        }
        // What a sender who was wrong about its size has left would be more than the layer for good.
        if Int64(status.st_size) > size { ftruncate(file, off_t(size)) }
        touched.insert(path)
        end = kept
        return true
    }

    func read(at offset: Int64, atMost count: Int) -> ByteBuffer? {
        guard file >= 0 else { return nil }
        var bytes = ByteBuffer()
        let got = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
            max(0, pread(file, $0.baseAddress, count, off_t(offset)))
        }
        return got > 0 ? bytes : nil
    }

    @discardableResult
    func append(_ bytes: ByteBuffer) -> Bool {
        guard file >= 0 else { return false }
        let count = Int64(bytes.readableBytes)
        unchecked += count
        total += count
        if unchecked >= Self.stride {
            unchecked = 0
            guard total < Self.limit, hasRoom() else { return drop() }
        }
        let written = bytes.withUnsafeReadableBytes { pwrite(file, $0.baseAddress, $0.count, off_t(end)) }
        guard Int64(written) == count else { return drop() }
        end += count
        return true
    }

    /// The disk is too full for it; what was here already serves nobody without the rest.
    private func drop() -> Bool {
        reject()
        return false
    }

    func reject() {
        if file >= 0 { unlink(path) }
        close()
    }

    private func close() {
        if file >= 0 { Glibc.close(file) }
        file = -1
    }

    /// The engine has had all of it, and has the image now or never.
    func discard() {
        close()
        for path in touched { unlink(path) }
        touched = []
    }

    /// Forgets what is too old, and the oldest of what is too much.
    /// - Parameter now: seconds since 1970.
    static func sweep(_ folder: String, now: Double, limit: Int64 = limit) {
        var found: [(path: String, written: Double, size: Int64)] = []
        let files = FileManager.default
        for origin in (try? files.contentsOfDirectory(atPath: folder)) ?? [] {
            for name in (try? files.contentsOfDirectory(atPath: "\(folder)/\(origin)")) ?? [] {
                let path = "\(folder)/\(origin)/\(name)"
                var status = stat()
                guard lstat(path, &status) == 0 else { continue }
                found.append((path, Double(status.st_mtim.tv_sec), Int64(status.st_size)))
            }
        }
        var total = found.reduce(0) { $0 + $1.size }
        for layer in found.sorted(by: { $0.written < $1.written })
        where total > limit || now - layer.written > lifetime {
            unlink(layer.path)
            total -= layer.size
        }
    }
}
