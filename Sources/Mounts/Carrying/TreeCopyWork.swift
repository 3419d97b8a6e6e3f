internal import CFileAttributes
internal import Compression
import Glibc
import NIOCore

/// The state of a copy in the making.
struct TreeCopyWork {
    /// What one frame may be when it is unpacked.
    private static let frameLimit = 8 << 20

    private let root: OpenFolder
    private var file: (path: TreePath, descriptor: Descriptor, attributes: TreeStep.Attributes)?
    /// Folders of this pass: what happens in them moves their times.
    private var folders: [(path: TreePath, attributes: TreeStep.Attributes)] = []
    /// The folder that was used last.
    private var near: (path: TreePath, folder: OpenFolder)?

    init(root: OpenFolder) { self.root = root }

    mutating func take(_ packed: ByteBuffer) throws {
        let decompressor = try ZstdDecompressor()
        decompressor.add(packed)
        var steps = ByteBuffer()
        while let piece = try decompressor.next() {
            steps.writeImmutableBuffer(piece)
            guard steps.readableBytes <= Self.frameLimit else {
                throw MountError.violation("a frame unpacks to too much")
            }
        }
        while let step = try steps.readStep() {
            do throws(SystemFailure) { try perform(step) } catch {
                throw MountError(.file, "\(Self.path(of: step) ?? file?.path ?? .root) cannot be written: \(error)")
            }
        }
    }

    mutating func end() throws {
        for (path, attributes) in folders.reversed() {
            do throws(SystemFailure) { try Self.apply(attributes, to: try open(path).descriptor) } catch {
                throw MountError(.file, "\(path) cannot be written: \(error)")
            }
        }
        (folders, near) = ([], nil)
        guard syncfs(root.descriptor.number) == 0 else {
            throw MountError(.file, "the copy does not reach the disk: \(SystemFailure.last)")
        }
    }

    private static func path(of step: TreeStep) -> TreePath? {
        switch step {
        case .folder(let path, _), .file(let path, _, _, _), .name(let path, _), .link(let path, _, _),
            .node(let path, _, _), .remove(let path):
            path
        case .block, .close: nil
        }
    }

    // MARK: Steps

    private mutating func perform(_ step: TreeStep) throws(SystemFailure) {
        switch step {
        case .folder(let path, let attributes):
            folders.append((path, attributes))
            guard !path.isRoot else { return }
            let parent = try open(path.parent)
            if try parent.status(path.name)?.kind == .folder { return }
            try removeAll(path, in: parent)
            try parent.makeFolder(path.name)
        case .file(let path, let attributes, let size, let isFresh):
            let parent = try open(path.parent)
            if isFresh { try removeAll(path, in: parent) }
            let descriptor = isFresh ? try parent.create(path.name) : try parent.regularFile(path.name, writable: true)
            try descriptor.truncate(to: size)
            file = (path, descriptor, attributes)
        case .block(let offset, let bytes):
            guard let file else { throw .impossible }
            let result = bytes.withUnsafeReadableBytes { file.descriptor.write($0, at: offset) }
            guard result == 0 else { throw SystemFailure(result) }
        case .close:
            guard let file else { throw .impossible }
            try Self.apply(file.attributes, to: file.descriptor)
            self.file = nil
        case .name(let path, let other):
            let parent = try open(path.parent)
            try removeAll(path, in: parent)
            try parent.makeName(path.name, for: other.name, in: try open(other.parent))
        case .link(let path, let attributes, let text):
            let parent = try open(path.parent)
            try removeAll(path, in: parent)
            try parent.makeLink(path.name, to: text)
            try Self.apply(attributes, toLink: path, in: parent)
        case .node(let path, let attributes, let node):
            let parent = try open(path.parent)
            try removeAll(path, in: parent)
            try Self.make(node, path, in: parent)
            try Self.apply(attributes, toLink: path, in: parent)
            try parent.setMode(of: path.name, of: Self.kind(of: node), to: mode_t(attributes.mode))
        case .remove(let path):
            guard !path.isRoot else { throw .impossible }
            do throws(SystemFailure) { try removeAll(path, in: try open(path.parent)) } catch {
                guard error.isAbsence else { throw error }
            }
        }
    }

    private mutating func open(_ path: TreePath) throws(SystemFailure) -> OpenFolder {
        if let near, near.path == path { return near.folder }
        var folder = root
        for name in path.names { folder = try folder.folder(name) }
        near = (path, folder)
        return folder
    }

    private mutating func removeAll(_ path: TreePath, in parent: OpenFolder) throws(SystemFailure) {
        guard !path.isRoot else { throw .impossible }
        near = nil
        try parent.removeAll(path.name)
    }

    private static func make(_ node: TreeStep.Node, _ path: TreePath, in parent: OpenFolder) throws(SystemFailure) {
        let kind = kind(of: node)
        guard withCString(path.name, { mknodat(parent.descriptor.number, $0, kind | 0o600, 0) }) == 0 else {
            throw .last
        }
    }

    private static func kind(of node: TreeStep.Node) -> mode_t {
        switch node {
        case .whiteout: S_IFCHR
        case .fifo: S_IFIFO
        case .socket: S_IFSOCK
        }
    }

    // MARK: Attributes

    /// The owner first: to change it takes rights off a program, and its capabilities.
    static func apply(
        _ attributes: TreeStep.Attributes, to file: Descriptor
    ) throws(SystemFailure) {
        guard fchown(file.number, attributes.owner, attributes.group) == 0,
            fchmod(file.number, mode_t(attributes.mode)) == 0
        else { throw .last }
        try TreeStep.ExtendedAttribute.apply(attributes.extended, to: file)
        var times = [timespec(tv_sec: 0, tv_nsec: lighter_time_kept), timespec(nanoseconds: attributes.modified)]
        guard futimens(file.number, &times) == 0 else { throw .last }
    }

    private static func apply(
        _ attributes: TreeStep.Attributes, toLink path: TreePath, in parent: OpenFolder
    ) throws(SystemFailure) {
        let number = parent.descriptor.number
        let owned = withCString(path.name) {
            fchownat(number, $0, attributes.owner, attributes.group, AT_SYMLINK_NOFOLLOW)
        }
        var times = [timespec(tv_sec: 0, tv_nsec: lighter_time_kept), timespec(nanoseconds: attributes.modified)]
        guard owned == 0, withCString(path.name, { utimensat(number, $0, &times, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            throw .last
        }
    }
}

extension OpenFolder {
    /// As deep as any path of a name each can lead.
    private static let deepest = 2048

    /// Removes whatever has this name, with all in it; nothing where there is nothing.
    func removeAll(_ name: some Collection<UInt8>, depth: Int = 0) throws(SystemFailure) {
        guard let status = try status(name) else { return }
        if status.kind == .folder {
            guard depth < Self.deepest else { throw SystemFailure(ENAMETOOLONG) }
            let folder = try folder(name)
            for name in try folder.names() { try folder.removeAll(name, depth: depth + 1) }
        }
        try remove(name, isFolder: status.kind == .folder)
    }
}
