/// What is agreed, or to be agreed, about one path.
struct Entry: Sendable, Hashable {
    enum Kind: UInt8, Sendable, Hashable {
        case file = 1
        case folder = 2
        case link = 3
    }

    var kind: Kind
    /// The twelve permission bits.
    var mode: UInt16
    var owner: UInt32
    var group: UInt32
    /// Nanoseconds since 1970. Folders and links carry theirs along, but no change is seen in it: our own work moves it.
    var modified: Int64
    var size: Int64
    /// Of a file's content or a link's text.
    var digest: Digest
    /// A hash of the extended attributes; 0 for none.
    var attributes: UInt64

    var isFolder: Bool { kind == .folder }
    var isFile: Bool { kind == .file }

    /// The parts in which a difference is a change.
    ///
    /// - Parameter owners: Whether owners count; they do not where a side could not set them.
    func comparable(owners: Bool) -> Entry {
        var entry = self
        if !isFile { entry.modified = 0 }
        if isFolder { entry.size = 0 }
        if kind == .link { entry.mode = 0 }
        if !owners { (entry.owner, entry.group) = (0, 0) }
        return entry
    }

    func matches(_ other: Entry, owners: Bool) -> Bool {
        comparable(owners: owners) == other.comparable(owners: owners)
    }

    /// Whether nothing but the metadata differs, so that no content has to travel.
    func hasSameContent(as other: Entry) -> Bool {
        kind == other.kind && digest == other.digest && (isFolder || size == other.size)
    }
}

/// What is known of a path at both sides: nil is absence.
extension Entry? {
    func matches(_ other: Entry?, owners: Bool) -> Bool {
        switch (self, other) {
        case (nil, nil): true
        case (let one?, let other?): one.matches(other, owners: owners)
        default: false
        }
    }
}
