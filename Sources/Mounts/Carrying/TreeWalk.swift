internal import CFileAttributes
import Glibc
import NIOCore

/// A tree's walk, and what it knows of the copy.
struct TreeWalk {
    /// As many bytes of steps as one frame takes, and a block more.
    private static let frameSize = 512 << 10
    /// Files that have changed as lately as this may change again without another time of change.
    private static let grain: Int64 = 2_000_000_000

    /// What the copy has of a path.
    private struct Known {
        var inode: UInt64
        var changed: Int64
        /// Whether every later change would show in `changed`.
        var isSettled: Bool
        var kind: mode_t
        /// Of a file of several names: the one with which it travelled.
        var first: TreePath?
        var blocks: [BlockDigest] = []
        var pass: Int
    }

    private struct BlockDigest: Equatable {
        var words: (UInt64, UInt64)
        static func == (a: Self, b: Self) -> Bool { a.words == b.words }
    }

    private struct Level {
        var path: TreePath
        var folder: OpenFolder
        var names: [[UInt8]]
    }

    private struct OpenFile {
        var path: TreePath
        var file: Descriptor
        var known: Known
        var offset: Int64 = 0
        var isFresh: Bool
        var index = 0
    }

    private let root: OpenFolder
    private let isLayer: Bool
    private var known: [TreePath: Known] = [:]
    private var pass = 0
    private var levels: [Level] = []
    private var file: OpenFile?
    /// Of files with several names: the first that this pass has come to.
    private var firsts: [UInt64: TreePath] = [:]
    /// What is gone and still has to be told; nil before the whole tree was seen.
    private var gone: [TreePath]?
    private var device: dev_t = 0
    private(set) var tally = TreeTally()

    init(root: OpenFolder, isLayer: Bool) {
        self.root = root
        self.isLayer = isLayer
    }

    mutating func begin() {
        pass += 1
        (levels, file, firsts, gone, tally) = ([], nil, [:], nil, TreeTally())
    }

    /// The next steps; none when the pass is complete.
    mutating func next() throws -> ByteBuffer {
        var steps = ByteBuffer()
        while steps.readableBytes < Self.frameSize {
            if file != nil {
                try readBlock(&steps)
            } else if let level = levels.last {
                guard let name = level.names.last else {
                    levels.removeLast()
                    continue
                }
                levels[levels.count - 1].names.removeLast()
                guard let path = level.path.appending(name) else {
                    throw MountError(.file, "\(level.path)/…: the path is too long to travel")
                }
                try visit(path, name, in: level.folder, &steps)
            } else if known[.root]?.pass != pass {
                try enterRoot(&steps)
            } else if gone == nil {
                forgetGone()
            } else if let path = gone?.popLast() {
                steps.write(.remove(path))
            } else {
                break
            }
        }
        return steps
    }

    // MARK: One path

    private mutating func enterRoot(_ steps: inout ByteBuffer) throws {
        let status = try root.descriptor.rawStatus()
        device = status.st_dev
        try enter(.root, root, status, &steps)
    }

    private mutating func visit(
        _ path: TreePath, _ name: [UInt8], in folder: OpenFolder, _ steps: inout ByteBuffer
    ) throws {
        var status = stat()
        guard withCString(name, { fstatat(folder.descriptor.number, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            return try unlessGone(path, .last)
        }
        // Something is mounted there: it is not part of this tree.
        guard status.st_dev == device else { return }
        tally.entries += 1
        do throws(SystemFailure) {
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try enter(path, try folder.folder(name), status, &steps)
            case S_IFREG: try open(path, name, in: folder, status, &steps)
            case S_IFLNK:
                if !isCurrent(path, status) {
                    let text = try folder.readLink(name)
                    steps.write(.link(path, TreeStep.Attributes(status), text: text))
                }
                keep(path, status)
            case S_IFIFO: node(path, status, .fifo, &steps)
            case S_IFSOCK: node(path, status, .socket, &steps)
            case S_IFCHR where isLayer && status.st_rdev == 0: node(path, status, .whiteout, &steps)
            default: throw SystemFailure(ENXIO)
            }
        } catch {
            tally.entries -= 1
            try unlessGone(path, error)
        }
    }

    /// What goes while the tree is read is found gone by the next pass.
    private func unlessGone(_ path: TreePath, _ failure: SystemFailure) throws(MountError) {
        if failure.isAbsence { return }
        switch failure.code {
        case ENXIO: throw MountError(.file, "\(path) is a device, which does not travel")
        case ENOTSUP: throw MountError(.file, "the engine keeps a part of \(path) in the image (metacopy)")
        default: throw MountError(.file, "\(path) cannot be read: \(failure)")
        }
    }

    private mutating func enter(
        _ path: TreePath, _ folder: OpenFolder, _ status: stat, _ steps: inout ByteBuffer
    ) throws(SystemFailure) {
        if !isCurrent(path, status) {
            let extended = try extended(of: folder.descriptor, path)
            steps.write(.folder(path, TreeStep.Attributes(status, extended)))
        }
        keep(path, status)
        levels.append(Level(path: path, folder: folder, names: try folder.names()))
    }

    private mutating func node(_ path: TreePath, _ status: stat, _ node: TreeStep.Node, _ steps: inout ByteBuffer) {
        if !isCurrent(path, status) { steps.write(.node(path, TreeStep.Attributes(status), node)) }
        keep(path, status)
    }

    private mutating func open(
        _ path: TreePath, _ name: [UInt8], in folder: OpenFolder, _ status: stat, _ steps: inout ByteBuffer
    ) throws(SystemFailure) {
        let before = known[path]
        if status.st_nlink > 1 {
            if let first = firsts[UInt64(status.st_ino)] {
                if before?.first != first || before?.inode != UInt64(status.st_ino) || before?.kind != S_IFREG {
                    steps.write(.name(path, of: first))
                }
                keep(path, status, first: first)
                return
            }
            firsts[UInt64(status.st_ino)] = path
        }
        if isCurrent(path, status), before?.first == nil {
            known[path]?.pass = pass
            return
        }
        let file = try folder.regularFile(name, on: device)
        // What is written from here on through a mapping changes the time again.
        _ = sync_file_range(file.number, 0, 0, UInt32(lighter_sync_range_and_wait))
        let now = try file.rawStatus()
        // A name that stood for another file, or was one of several, is no base for this one.
        let isFresh = before?.inode != UInt64(now.st_ino) || before?.kind != S_IFREG || before?.first != nil
        var entry = Self.entry(now, pass: pass)
        if !isFresh { entry.blocks = before?.blocks ?? [] }
        steps.write(
            .file(
                path, TreeStep.Attributes(now, try extended(of: file, path)), size: Int64(now.st_size), isFresh: isFresh
            ))
        self.file = OpenFile(path: path, file: file, known: entry, isFresh: isFresh)
    }

    // MARK: Contents

    private mutating func readBlock(_ steps: inout ByteBuffer) throws {
        guard var open = file else { return }
        var block = ByteBuffer()
        var result = 0
        let count = block.writeWithUnsafeMutableBytes(minimumWritableBytes: TreeStep.blockSize) { space in
            let space = UnsafeMutableRawBufferPointer(rebasing: space[..<TreeStep.blockSize])
            result = open.file.read(into: space, at: open.offset)
            return max(0, result)
        }
        guard result >= 0 else {
            throw MountError(.file, "\(open.path) cannot be read: \(SystemFailure(Int32(-result)))")
        }
        if count > 0 {
            let digest = Self.digest(of: block)
            let isKnown = open.index < open.known.blocks.count && open.known.blocks[open.index] == digest
            if open.index < open.known.blocks.count {
                open.known.blocks[open.index] = digest
            } else {
                open.known.blocks.append(digest)
            }
            // A fresh file has zeros where nothing is written.
            if !isKnown, !(open.isFresh && block.isZero) {
                steps.write(.block(offset: open.offset, block))
                tally.bytes += Int64(count)
            }
        }
        open.offset += Int64(count)
        open.index += 1
        guard count < TreeStep.blockSize else {
            file = open
            return
        }
        open.known.blocks.removeLast(max(0, open.known.blocks.count - (open.index - (count == 0 ? 1 : 0))))
        steps.write(.close)
        known[open.path] = open.known
        file = nil
    }

    private static func digest(of block: ByteBuffer) -> BlockDigest {
        block.withUnsafeReadableBytes { bytes in
            var hasher = ContentHasher()
            hasher.update(bytes)
            let words = hasher.finish().words
            return BlockDigest(words: (words.0, words.1))
        }
    }

    // MARK: What is known

    private func isCurrent(_ path: TreePath, _ status: stat) -> Bool {
        guard let before = known[path] else { return false }
        return before.isSettled && before.inode == UInt64(status.st_ino) && before.kind == status.st_mode & S_IFMT
            && before.changed == status.changedAt
    }

    private mutating func keep(_ path: TreePath, _ status: stat, first: TreePath? = nil) {
        var entry = Self.entry(status, pass: pass)
        entry.first = first
        known[path] = entry
    }

    private static func entry(_ status: stat, pass: Int) -> Known {
        Known(
            inode: UInt64(status.st_ino), changed: status.changedAt,
            isSettled: status.changedAt < FileStatus.now - grain, kind: status.st_mode & S_IFMT, pass: pass)
    }

    /// What this pass has not found is gone; a folder takes what it held along.
    private mutating func forgetGone() {
        var gone: [TreePath] = []
        for path in known.filter({ $0.value.pass != pass }).map(\.key).sorted() {
            known[path] = nil
            if let last = gone.last, path.isBelow(last) { continue }
            gone.append(path)
        }
        self.gone = gone.reversed()
    }

    private func extended(of file: Descriptor, _ path: TreePath) throws(SystemFailure) -> [TreeStep.ExtendedAttribute] {
        do throws(MountError) { return try TreeStep.ExtendedAttribute.all(of: file, isLayer: isLayer) } catch {
            throw SystemFailure(ENOTSUP)
        }
    }
}

extension stat {
    fileprivate var changedAt: Int64 { FileStatus(self).changed }
}

extension Descriptor {
    fileprivate func rawStatus() throws(SystemFailure) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last }
        return status
    }
}

extension ByteBuffer {
    fileprivate var isZero: Bool {
        withUnsafeReadableBytes { bytes in
            guard let first = bytes.baseAddress, bytes[0] == 0 else { return bytes.isEmpty }
            return memcmp(first, first + 1, bytes.count - 1) == 0
        }
    }
}
