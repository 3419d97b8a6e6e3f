/// An entry, and by what its path's content is recognised as unchanged without reading it.
struct Record: Sendable, Hashable {
    var entry: Entry
    var inode: UInt64
    /// The time of the last status change in nanoseconds; 0 when the content has to be read again.
    var changed: Int64

    /// Whether the file system still shows what was seen when the record was made.
    func isCurrent(_ status: FileStatus) -> Bool {
        guard changed != 0, changed == status.changed, inode == status.inode, entry.kind == status.kind else {
            return false
        }
        return !entry.isFile || (entry.size == status.size && entry.modified == status.modified)
    }
}
