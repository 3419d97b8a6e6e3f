import Glibc
internal import NIOCore

/// A tree in a file that is always replaced as a whole and ends with a digest of itself.
struct IndexFile {
    let tree: Tree
    let rootInode: UInt64
    /// The name of the target's mirror.
    let mirror: Fingerprint

    private static let magic: UInt32 = 0x4c4d_4202
    private static let headerSize = 4 + 1 + 1 + 8 + 16 + 4
    private static let window = 64 << 10

    /// Nil where there is none, or not a whole one, or one of other circumstances.
    static func read(_ path: String, side: MountSide, owners: Bool) -> IndexFile? {
        guard let file = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC)), let size = try? file.status().size,
            size >= Int64(headerSize + Digest.byteCount), isWhole(file, size: size)
        else { return nil }
        var reader = FileReader(file, end: size - Int64(Digest.byteCount), window: window)
        guard reader.fill(headerSize), let magic = reader.buffer.readInteger(as: UInt32.self), magic == Self.magic,
            let (sideCode, owns) = reader.buffer.readMultipleIntegers(as: (UInt8, UInt8).self),
            sideCode == side.rawValue, (owns == 1) == owners,
            let (inode, high, low) = reader.buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self),
            let count = reader.buffer.readInteger(as: UInt32.self)
        else { return nil }
        var tree = Tree()
        for _ in 0..<count {
            guard let (path, record) = readRecord(&reader) else { return nil }
            tree[path] = record
        }
        return IndexFile(tree: tree, rootInode: inode, mirror: Fingerprint(high: high, low: low))
    }

    private static func readRecord(_ reader: inout FileReader) -> (TreePath, Record)? {
        guard reader.fill(2), let length = reader.buffer.readInteger(as: UInt16.self),
            reader.fill(Int(length) + Entry.byteCount + 16), let bytes = reader.buffer.readBytes(length: Int(length)),
            let path = TreePath(bytes), let entry = Entry(from: &reader.buffer),
            let (inode, changed) = reader.buffer.readMultipleIntegers(as: (UInt64, Int64).self)
        else { return nil }
        return (path, Record(entry: entry, inode: inode, changed: changed))
    }

    private static func isWhole(_ file: Descriptor, size: Int64) -> Bool {
        var reader = FileReader(file, end: size, window: window)
        var hasher = ContentHasher()
        var rest = Int(size) - Digest.byteCount
        while rest > 0 {
            let count = min(rest, window)
            guard reader.fill(count), let bytes = reader.buffer.readBytes(length: count) else { return false }
            hasher.update(bytes)
            rest -= count
        }
        guard reader.fill(Digest.byteCount),
            let words = reader.buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self)
        else { return false }
        return Digest(words: words) == hasher.finish()
    }

    static func write(
        _ memory: IndexFile, _ path: String, side: MountSide, owners: Bool
    ) throws(SystemFailure) {
        let fresh = path + ".new"
        do throws(SystemFailure) {
            let file = try Descriptor(open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
            var writer = FileWriter(file, window: window)
            writer.buffer.writeMultipleIntegers(magic, side.rawValue, owners ? 1 : 0 as UInt8)
            writer.buffer.writeMultipleIntegers(
                memory.rootInode, memory.mirror.high, memory.mirror.low, UInt32(memory.tree.count))
            try memory.tree.forEach { path, record throws(SystemFailure) in
                var entry: [UInt8] = []
                record.entry.append(to: &entry)
                writer.buffer.writeInteger(UInt16(path.bytes.count))
                writer.buffer.writeBytes(path.bytes)
                writer.buffer.writeBytes(entry)
                writer.buffer.writeMultipleIntegers(record.inode, record.changed)
                try writer.flush(above: window)
            }
            try writer.finish()
            guard fsync(file.number) == 0, rename(fresh, path) == 0 else { throw .last }
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
        mutating func finish() throws(SystemFailure) {
            try flush(above: 0)
            let words = hasher.finish().words
            buffer.writeMultipleIntegers(words.0, words.1, words.2, words.3)
            let (file, position) = (file, position)
            let code = buffer.withUnsafeReadableBytes { file.write($0, at: position) }
            guard code == 0 else { throw SystemFailure(code) }
        }
    }
}
