package import Fleet

/// Where a mount's folder or file is on this side.
package struct MountRoot: Sendable, Hashable {
    package let path: String

    package init(path: String) { self.path = path }
}

/// How a mount is kept; both sides get the same, except for `basePath`.
package struct MountOptions: Sendable {
    /// The file of this side's memory between sessions; outside the mount, in a folder that exists.
    package let basePath: String
    /// The name of the target, as conflicts are named after it.
    package let targetName: String
    /// The most that the origin's tree may hold; nil for no bound.
    package var maximumBytes: ByteCount?
    /// Whether the container may not write: what changes at the target is put back.
    package var isReadOnly = false
    /// How long after one look at changes the next one comes at the earliest; a fifth of it after a quiet time.
    package var debounce: Duration = .milliseconds(50)
    /// Whether set-user-id and set-group-id bits of files travel; only a side that runs as root sets them.
    package var keepsSetuid = false

    /// Whether what travels is compressed, where the other side does it too.
    package var compresses = true
    /// How many paths are planned at once.
    var page = 1024
    /// How much of what is known of the tree is held in memory; the rest is in a file beside `basePath`.
    var cacheSize = ByteCount.mebibytes(8)

    package init(basePath: String, targetName: String) {
        self.basePath = basePath
        self.targetName = targetName
    }
}
