internal import CFileAttributes
import Glibc
internal import NIOCore

/// A file in the making, beside the place where it will be. It is removed with its last reference unless it was installed.
final class StagedFile {
    private static let block = 4096

    let file: Descriptor
    private let folder: OpenFolder
    private let name = TemporaryName.random()
    private var isInstalled = false
    private var hasher = ContentHasher()
    /// How far the content has been hashed in order.
    private var hashed: Int64 = 0

    init(in folder: OpenFolder) throws(SystemFailure) {
        self.folder = folder
        file = try folder.create(name)
    }

    deinit {
        if !isInstalled { try? folder.remove(name, isFolder: false) }
    }

    /// Writes what is not zero; what is stays a hole.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemFailure) {
        if offset == hashed {
            hasher.update(bytes)
            hashed += Int64(bytes.count)
        }
        var start = 0
        while start < bytes.count {
            let isZero = block(bytes, start).isAllZero
            var end = min(start + Self.block, bytes.count)
            while end < bytes.count, block(bytes, end).isAllZero == isZero { end = min(end + Self.block, bytes.count) }
            if !isZero {
                let code = file.write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: offset + Int64(start))
                guard code == 0 else { throw SystemFailure(code) }
            }
            start = end
        }
    }

    func write(_ bytes: ArraySlice<UInt8>, at offset: Int64) throws(SystemFailure) {
        var failure: SystemFailure?
        bytes.withUnsafeBytes { bytes in
            do throws(SystemFailure) { try write(bytes, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    func write(_ bytes: ByteBuffer, at offset: Int64) throws(SystemFailure) {
        var failure: SystemFailure?
        bytes.withUnsafeReadableBytes { bytes in
            do throws(SystemFailure) { try write(bytes, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func block(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + Self.block, bytes.count)])
    }

    func skip(_ length: Int64, at offset: Int64) {
        guard offset == hashed else { return }
        let zeros = [UInt8](repeating: 0, count: Int(min(length, 64 << 10)))
        var rest = length
        while rest > 0 {
            let count = min(rest, Int64(zeros.count))
            zeros.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
            rest -= count
        }
        hashed += length
    }

    /// Gives the file its size, and the digest of what it holds now.
    func finish(size: Int64, stop: StopFlag) throws(SystemFailure) -> Digest {
        try file.truncate(to: size)
        if hashed == size { return hasher.finish() }
        var hasher = ContentHasher()
        var buffer = [UInt8](repeating: 0, count: 128 << 10)
        var position: Int64 = 0
        while position < size {
            guard !stop.isSet else { throw SystemFailure(ECANCELED) }
            let count = try file.read(into: &buffer, count: buffer.count, at: position)
            guard count > 0 else { throw SystemFailure(EIO) }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            position += Int64(count)
        }
        return hasher.finish()
    }

    /// Puts the file in its place, over what is there.
    func install(as final: [UInt8]) throws(SystemFailure) -> FileStatus {
        // Its way to the disk begins now, without anybody waiting: a tree's files all at once would hold up whoever next asks for
        // something to be on it, such as the engine that starts the container.
        _ = sync_file_range(file.number, 0, 0, UInt32(lighter_sync_range))
        try folder.rename(name, to: final)
        isInstalled = true
        return try file.status()
    }

    /// Copies the content into the file that is there, which keeps its inode: a container holds that one by a bind mount.
    /// - Returns: The file that now has the content.
    func pour(into final: [UInt8], size: Int64) throws(SystemFailure) -> Descriptor {
        let target = try folder.file(final, writable: true)
        guard try target.status().kind == .file else { throw SystemFailure(EINVAL) }
        var buffer = [UInt8](repeating: 0, count: 128 << 10)
        var position: Int64 = 0
        while position < size {
            let count = try file.read(into: &buffer, count: buffer.count, at: position)
            guard count > 0 else { throw SystemFailure(EIO) }
            let code = buffer.withUnsafeBytes {
                target.write(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: position)
            }
            guard code == 0 else { throw SystemFailure(code) }
            position += Int64(count)
        }
        try target.truncate(to: size)
        return target
    }
}
