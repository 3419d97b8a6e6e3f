import Glibc
internal import NIOCore

/// What has changed in a tree since its `IndexFile` was written, so that what a small change costs is small.
///
/// Each save is one or more batches; each ends with a digest of itself and of all before it, back to the index, and the last one of a
/// save says so. A save that is not whole, and what follows it, counts as never made: as if the session had ended before.
struct ChangesFile {
    private static let batchSize = 64 << 10
    /// A path more than a batch holds.
    private static let batchLimit = batchSize + TreePath.limit + 128
    /// The batch's length, and whether the save ends with it.
    private static let headerSize = 4 + 1

    private let path: String
    /// Of the index and all saves so far.
    private var digest: Digest
    /// Where the next save goes.
    private(set) var size: Int64 = 0

    /// - Parameter digest: With which the index ends.
    init(besides indexPath: String, digest: Digest) {
        path = indexPath + ".changes"
        self.digest = digest
    }

    /// Whether the file on the disk is as long as this says; one that is not was written by somebody else, or not wholly.
    var isIntact: Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return errno == ENOENT && size == 0 }
        return Int64(status.st_size) == size
    }

    /// Brings a tree from what the index had to what it was last.
    mutating func read(into tree: PathTable<Record>) throws(SystemFailure) {
        guard let file = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC)) else { return }
        var (position, chain) = (size, digest)
        while let batch = Self.nextBatch(of: file, at: &position, after: &chain) {
            if batch.isLast { (size, digest) = (position, chain) }
        }
        position = 0
        while position < size, var batch = Self.nextBatch(of: file, at: &position)?.changes {
            while batch.readableBytes > 0 {
                guard let (path, record) = batch.readChange() else { return }
                if let record { try tree.set(path, to: record) } else { try tree.remove(path) }
            }
        }
    }

    /// Nil where there is no whole one.
    private static func nextBatch(
        of file: Descriptor, at position: inout Int64
    ) -> (changes: ByteBuffer, isLast: Bool, digest: Digest)? {
        guard var header = read(headerSize, of: file, at: position),
            let (length, isLast) = header.readMultipleIntegers(as: (UInt32, UInt8).self),
            length > 0, length <= batchLimit, isLast <= 1,
            var batch = read(Int(length) + Digest.byteCount, of: file, at: position + Int64(headerSize)),
            let changes = batch.readSlice(length: Int(length)),
            let words = batch.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self)
        else { return nil }
        position += Int64(headerSize + Int(length) + Digest.byteCount)
        return (changes, isLast == 1, Digest(words: words))
    }

    /// Nil, too, where it does not follow what is before it.
    private static func nextBatch(
        of file: Descriptor, at position: inout Int64, after chain: inout Digest
    ) -> (changes: ByteBuffer, isLast: Bool)? {
        guard let batch = nextBatch(of: file, at: &position) else { return nil }
        let found = digest(of: batch.changes, isLast: batch.isLast, after: chain)
        guard found == batch.digest else { return nil }
        chain = found
        return (batch.changes, batch.isLast)
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
        var (position, chain) = (size, digest)
        var batch = ByteBuffer()
        try paths.forEach { path, _ throws(SystemFailure) in
            if batch.readableBytes >= Self.batchSize {
                try Self.write(&batch, isLast: false, to: file, at: &position, after: &chain)
            }
            batch.writeChange(path, try tree.value(at: path) ?? nil)
        }
        guard batch.readableBytes > 0 else { return }
        try Self.write(&batch, isLast: true, to: file, at: &position, after: &chain)
        guard fdatasync(file.number) == 0 else { throw .last }
        (size, digest) = (position, chain)
    }

    private static func write(
        _ batch: inout ByteBuffer, isLast: Bool, to file: Descriptor, at position: inout Int64,
        after chain: inout Digest
    ) throws(SystemFailure) {
        let next = digest(of: batch, isLast: isLast, after: chain)
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(UInt32(batch.readableBytes), isLast ? 1 : 0 as UInt8)
        bytes.writeBuffer(&batch)
        bytes.write(next)
        let code = bytes.withUnsafeReadableBytes { [position] in file.write($0, at: position) }
        guard code == 0 else { throw SystemFailure(code) }
        (chain, position) = (next, position + Int64(bytes.readableBytes))
        batch.clear()
    }

    /// To be called when the index has been written anew.
    func remove() { unlink(path) }

    private static func digest(of batch: ByteBuffer, isLast: Bool, after digest: Digest) -> Digest {
        var before = ByteBuffer()
        before.write(digest)
        before.writeInteger(isLast ? 1 : 0 as UInt8)
        var hasher = ContentHasher()
        before.withUnsafeReadableBytes { hasher.update($0) }
        batch.withUnsafeReadableBytes { hasher.update($0) }
        return hasher.finish()
    }
}

extension ByteBuffer {
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

    private mutating func readPath() -> TreePath? {
        readInteger(as: UInt16.self).flatMap { readBytes(length: Int($0)) }.flatMap { TreePath($0) }
    }

    /// The form in which indexes keep a path.
    mutating func write(_ path: TreePath, _ record: Record) {
        write(path)
        write(record.entry)
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
