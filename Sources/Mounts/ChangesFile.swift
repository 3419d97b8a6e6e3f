import Glibc
internal import NIOCore

/// What has changed in a tree since its `IndexFile` was written, so that what a small change costs is small.
///
/// Each batch ends with a digest of itself and of all before it, back to the index. One that is not whole, and what follows it,
/// counts as never written: as if the session had ended before.
struct ChangesFile {
    private static let batchSize = 64 << 10
    /// A path more than a batch holds.
    private static let batchLimit = batchSize + TreePath.limit + 128
    private static let headerSize = 4

    private let path: String
    /// Of the index and all batches so far.
    private var digest: Digest
    /// Where the next batch goes.
    private(set) var size: Int64 = 0

    /// - Parameter digest: With which the index ends.
    init(besides indexPath: String, digest: Digest) {
        path = indexPath + ".changes"
        self.digest = digest
    }

    /// Brings a tree from what the index had to what it was last.
    mutating func read(into tree: PathTable<Record>) throws(SystemFailure) {
        guard let file = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC)) else { return }
        while var batch = nextBatch(of: file) {
            while batch.readableBytes > 0 {
                guard let (path, record) = batch.readChange() else { return }
                if let record { try tree.set(path, to: record) } else { try tree.remove(path) }
            }
        }
    }

    private mutating func nextBatch(of file: Descriptor) -> ByteBuffer? {
        guard var header = Self.read(Self.headerSize, of: file, at: size),
            let length = header.readInteger(as: UInt32.self), length > 0, length <= Self.batchLimit,
            var batch = Self.read(Int(length) + Digest.byteCount, of: file, at: size + Int64(Self.headerSize)),
            let changes = batch.readSlice(length: Int(length)),
            let words = batch.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self)
        else { return nil }
        let found = Self.digest(of: changes, after: digest)
        guard found == Digest(words: words) else { return nil }
        digest = found
        size += Int64(Self.headerSize + Int(length) + Digest.byteCount)
        return changes
    }

    /// Nil where there is not as much.
    private static func read(_ count: Int, of file: Descriptor, at offset: Int64) -> ByteBuffer? {
        var buffer = ByteBuffer()
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            max(0, file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: offset))
        }
        return buffer.readableBytes == count ? buffer : nil
    }

    /// Appends what the tree has now at these paths, and returns once it is on the disk.
    mutating func append(_ paths: PathTable<UInt8>, of tree: PathTable<Record>) throws(SystemFailure) {
        let file = try Descriptor(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
        // What is behind the last whole batch is none, or belongs to an index before this one.
        try file.truncate(to: size)
        var batch = ByteBuffer()
        try paths.forEach { path, _ throws(SystemFailure) in
            batch.writeChange(path, try tree.value(at: path) ?? nil)
            if batch.readableBytes >= Self.batchSize { try write(&batch, to: file) }
        }
        if batch.readableBytes > 0 { try write(&batch, to: file) }
        guard fdatasync(file.number) == 0 else { throw .last }
    }

    private mutating func write(_ batch: inout ByteBuffer, to file: Descriptor) throws(SystemFailure) {
        let next = Self.digest(of: batch, after: digest)
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt32(batch.readableBytes))
        bytes.writeBuffer(&batch)
        bytes.write(next)
        let code = bytes.withUnsafeReadableBytes { file.write($0, at: size) }
        guard code == 0 else { throw SystemFailure(code) }
        (digest, size) = (next, size + Int64(bytes.readableBytes))
        batch.clear()
    }

    /// To be called when the index has been written anew.
    func remove() { unlink(path) }

    private static func digest(of batch: ByteBuffer, after digest: Digest) -> Digest {
        var before = ByteBuffer()
        before.write(digest)
        var hasher = ContentHasher()
        before.withUnsafeReadableBytes { hasher.update($0) }
        batch.withUnsafeReadableBytes { hasher.update($0) }
        return hasher.finish()
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ digest: Digest) {
        let words = digest.words
        writeMultipleIntegers(words.0, words.1, words.2, words.3)
    }

    fileprivate mutating func writeChange(_ path: TreePath, _ record: Record?) {
        writeInteger(record == nil ? 0 : 1 as UInt8)
        guard let record else { return write(path) }
        write(path, record)
    }

    /// Nil where the bytes are no change.
    fileprivate mutating func readChange() -> (path: TreePath, record: Record?)? {
        switch readInteger(as: UInt8.self) {
        case 0: readPath().map { ($0, nil) }
        case 1: readRecord().map { ($0.path, $0.record) }
        default: nil
        }
    }

    private mutating func write(_ path: TreePath) {
        writeInteger(UInt16(path.bytes.count))
        writeBytes(path.bytes)
    }

    private mutating func readPath() -> TreePath? {
        readInteger(as: UInt16.self).flatMap { readBytes(length: Int($0)) }.flatMap { TreePath($0) }
    }

    /// The form in which indexes keep a path.
    mutating func write(_ path: TreePath, _ record: Record) {
        var entry: [UInt8] = []
        record.entry.append(to: &entry)
        write(path)
        writeBytes(entry)
        writeMultipleIntegers(record.inode, record.changed)
    }

    /// Nil where the bytes are no record.
    mutating func readRecord() -> (path: TreePath, record: Record)? {
        guard let path = readPath(), let entry = Entry(from: &self),
            let (inode, changed) = readMultipleIntegers(as: (UInt64, Int64).self)
        else { return nil }
        return (path, Record(entry: entry, inode: inode, changed: changed))
    }
}
