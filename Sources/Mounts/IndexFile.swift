import Glibc
internal import NIOCore

/// A tree in a file that is always replaced as a whole and ends with a digest of itself.
struct IndexFile {
    let rootInode: UInt64
    /// The name of the target's mirror.
    let mirror: Fingerprint
    let identity: Identity

    /// Which file it is.
    struct Identity: Sendable, Hashable {
        let digest: Digest
        let inode: UInt64
        let size: Int64
    }

    /// Whether the file at the path is still that one, and not one that another session has put there.
    static func isInPlace(_ identity: Identity, _ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && FileStatus(status).inode == identity.inode
    }

    private static let magic: UInt32 = 0x4c4d_4202
    private static let headerSize = 4 + 1 + 1 + 8 + 16 + 4
    private static let window = 64 << 10

    /// Fills `tree` with what a file has.
    /// - Returns: Nil where there is none, or not a whole one, or one of other circumstances.
    static func read(
        _ path: String, into tree: PathTable<Record>, side: MountSide, owners: Bool
    ) throws(SystemFailure) -> IndexFile? {
        guard let file = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC)), let status = try? file.status(),
            case let size = status.size, size >= Int64(headerSize + Digest.byteCount),
            let digest = digest(of: file, size: size)
        else { return nil }
        var reader = FileReader(file, end: size - Int64(Digest.byteCount), window: window)
        guard reader.fill(headerSize), let magic = reader.buffer.readInteger(as: UInt32.self), magic == Self.magic,
            let (sideCode, owns) = reader.buffer.readMultipleIntegers(as: (UInt8, UInt8).self),
            sideCode == side.rawValue, (owns == 1) == owners,
            let (inode, high, low) = reader.buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self),
            let count = reader.buffer.readInteger(as: UInt32.self)
        else { return nil }
        for _ in 0..<count {
            guard let (path, record) = readRecord(&reader) else {
                try tree.removeAll()
                return nil
            }
            try tree.set(path, to: record)
        }
        return IndexFile(
            rootInode: inode, mirror: Fingerprint(high: high, low: low),
            identity: Identity(digest: digest, inode: status.inode, size: size))
    }

    private static func readRecord(_ reader: inout FileReader) -> (TreePath, Record)? {
        guard reader.fill(2),
            let length = reader.buffer.getInteger(at: reader.buffer.readerIndex, as: UInt16.self),
            reader.fill(2 + Int(length) + Entry.byteCount + 16)
        else { return nil }
        return reader.buffer.readRecord()
    }

    /// The digest that a file ends with, where it is right.
    private static func digest(of file: Descriptor, size: Int64) -> Digest? {
        var reader = FileReader(file, end: size, window: window)
        var hasher = ContentHasher()
        var rest = Int(size) - Digest.byteCount
        while rest > 0 {
            let count = min(rest, window)
            guard reader.fill(count), let bytes = reader.buffer.readBytes(length: count) else { return nil }
            hasher.update(bytes)
            rest -= count
        }
        guard reader.fill(Digest.byteCount),
            let words = reader.buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self)
        else { return nil }
        let found = hasher.finish()
        return found == Digest(words: words) ? found : nil
    }

    static func write(
        _ tree: PathTable<Record>, rootInode: UInt64, mirror: Fingerprint, _ path: String, side: MountSide, owners: Bool
    ) throws(SystemFailure) -> Identity {
        let fresh = path + ".new"
        do throws(SystemFailure) {
            let file = try Descriptor(open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
            var writer = FileWriter(file, window: window)
            writer.buffer.writeMultipleIntegers(magic, side.rawValue, owners ? 1 : 0 as UInt8)
            writer.buffer.writeMultipleIntegers(rootInode, mirror.high, mirror.low, UInt32(tree.count))
            try tree.forEach { path, record throws(SystemFailure) in
                guard let record else { return }
                writer.buffer.write(path, record)
                try writer.flush(above: window)
            }
            let digest = try writer.finish()
            guard fsync(file.number) == 0, rename(fresh, path) == 0 else { throw .last }
            let status = try file.status()
            return Identity(digest: digest, inode: status.inode, size: status.size)
        } catch {
            unlink(fresh)
            throw error
        }
    }

    private struct FileReader {
        private let file: Descriptor
        private let end: Int64
        private let window: Int
        private var position: Int64 = 0
        var buffer = ByteBuffer()

        init(_ file: Descriptor, end: Int64, window: Int) {
            self.file = file
            self.end = end
            self.window = window
        }

        /// - Returns: Whether so many bytes can be read from the buffer.
        mutating func fill(_ count: Int) -> Bool {
            while buffer.readableBytes < count {
                buffer.discardReadBytes()
                let wanted = Int(min(Int64(window), end - position))
                let (file, position) = (file, position)
                var read = 0
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { bytes in
                    read = max(
                        0, file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted]), at: position))
                    return read
                }
                guard read > 0 else { return false }
                self.position += Int64(read)
            }
            return true
        }
    }

    private struct FileWriter {
        private let file: Descriptor
        private var hasher = ContentHasher()
        private var position: Int64 = 0
        var buffer = ByteBuffer()

        init(_ file: Descriptor, window: Int) {
            self.file = file
            buffer.reserveCapacity(window + TreePath.limit)
        }

        mutating func flush(above size: Int) throws(SystemFailure) {
            guard buffer.readableBytes > size else { return }
            let (file, position) = (file, position)
            let code = buffer.withUnsafeReadableBytes { bytes in
                hasher.update(bytes)
                return file.write(bytes, at: position)
            }
            guard code == 0 else { throw SystemFailure(code) }
            self.position += Int64(buffer.readableBytes)
            buffer.clear()
        }

        /// Writes what is left, and the digest of everything.
        mutating func finish() throws(SystemFailure) -> Digest {
            try flush(above: 0)
            let digest = hasher.finish()
            buffer.write(digest)
            let (file, position) = (file, position)
            let code = buffer.withUnsafeReadableBytes { file.write($0, at: position) }
            guard code == 0 else { throw SystemFailure(code) }
            return digest
        }
    }
}
