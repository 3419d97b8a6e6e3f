import Glibc

/// Makes records from what is on the disk.
struct RecordReader: Sendable {
    /// Files changed more recently than this are read again next time: a later change could bear the same time stamp.
    private static let doubt: UInt64 = 20_000_000
    private static let window = 128 << 10
    /// `UTIME_OMIT`, which Swift does not import.
    private static let omit = (1 << 30) - 2

    /// Whether owners can be set here; where not, a path keeps the owner that was agreed.
    let isPrivileged: Bool
    let keepsSetuid: Bool
    let stop: StopFlag

    /// - Returns: Nil for what never travels, and for what is gone by now.
    func read(
        _ folder: OpenFolder, _ name: [UInt8], _ status: FileStatus, known: Record?
    ) throws(SystemFailure) -> (record: Record, links: UInt64)? {
        guard let kind = status.kind else { return nil }
        var record: Record
        var links = UInt64(1)
        switch kind {
        case .folder: record = try folderRecord(folder, name, status, known: known)
        case .link:
            let text = try folder.readLink(name)
            record = Record(
                entry: entry(status, digest: Digest(of: text), attributes: 0), inode: status.inode,
                changed: status.changed)
            record.entry.size = Int64(text.count)
        case .file:
            guard let read = try fileRecord(try folder.file(name)) else { return nil }
            (record, links) = read
        }
        if !isPrivileged, let known, known.entry.kind == kind {
            record.entry.owner = known.entry.owner
            record.entry.group = known.entry.group
        }
        return (record, links)
    }

    private func folderRecord(
        _ folder: OpenFolder, _ name: [UInt8], _ status: FileStatus, known: Record?
    ) throws(SystemFailure) -> Record {
        var attributes: UInt64 = 0
        if let known, known.entry.isFolder, known.inode == status.inode, known.changed == status.changed {
            attributes = known.entry.attributes
        } else {
            attributes = ExtendedAttributes(of: try folder.folder(name).descriptor).hash
        }
        let entry = entry(status, digest: .zero, attributes: attributes)
        return Record(entry: entry, inode: status.inode, changed: status.changed)
    }

    /// Reads the whole file; nil where it is no file after all.
    private func fileRecord(_ file: Descriptor) throws(SystemFailure) -> (Record, UInt64)? {
        let before = try file.status()
        guard before.kind == .file else { return nil }
        var hasher = ContentHasher()
        var buffer = [UInt8](repeating: 0, count: Int(min(Int64(Self.window), before.size)))
        var position: Int64 = 0
        while position < before.size {
            guard !stop.isSet else { throw SystemFailure(ECANCELED) }
            let wanted = Int(min(Int64(buffer.count), before.size - position))
            let count = try file.read(into: &buffer, count: wanted, at: position)
            if count == 0 { break }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            position += Int64(count)
        }
        let attributes = ExtendedAttributes(of: file).hash
        let after = try file.status()
        var entry = entry(before, digest: hasher.finish(), attributes: attributes)
        entry.size = position
        let isStable = before.changed == after.changed
        return (Record(entry: entry, inode: after.inode, changed: isStable ? mark(of: after) : 0), after.links)
    }

    /// By what a file's content is recognised later; 0 where it has to be read again.
    func mark(of status: FileStatus) -> Int64 {
        (FileStatus.now &- status.modified).magnitude > Self.doubt ? status.changed : 0
    }

    /// The entry that a status makes.
    func entry(_ status: FileStatus, digest: Digest, attributes: UInt64) -> Entry {
        let kind = status.kind ?? .file
        let mode = kind == .file && !keepsSetuid ? status.mode & ~0o6000 : status.mode
        return Entry(
            kind: kind, mode: mode, owner: status.owner, group: status.group, modified: status.modified,
            size: kind == .folder ? 0 : status.size, digest: digest, attributes: attributes)
    }

    /// Sets what an entry says besides content, as far as this process may.
    func apply(_ entry: Entry, _ attributes: ExtendedAttributes, to file: Descriptor) throws(SystemFailure) {
        attributes.apply(to: file)
        // Before the mode: a change of owner clears the set-user-id bit.
        // Root in a container of its own may not be allowed to.
        if isPrivileged { _ = fchown(file.number, entry.owner, entry.group) }
        let keepsBits = entry.isFolder || (keepsSetuid && isPrivileged)
        guard fchmod(file.number, mode_t(keepsBits ? entry.mode : entry.mode & ~0o6000)) == 0 else { throw .last }
        // The first time stays as it is.
        let times = [timespec(tv_sec: 0, tv_nsec: Self.omit), timespec(nanoseconds: entry.modified)]
        guard futimens(file.number, times) == 0 else { throw .last }
    }

    func apply(_ entry: Entry, toLink name: [UInt8], in folder: OpenFolder) throws(SystemFailure) {
        let number = folder.descriptor.number
        if isPrivileged {
            _ = withCString(name) { fchownat(number, $0, entry.owner, entry.group, AT_SYMLINK_NOFOLLOW) }
        }
        let times = [timespec(tv_sec: 0, tv_nsec: Self.omit), timespec(nanoseconds: entry.modified)]
        guard withCString(name, { utimensat(number, $0, times, AT_SYMLINK_NOFOLLOW) }) == 0 else { throw .last }
    }
}
