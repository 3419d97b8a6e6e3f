import Glibc

/// What the file system says of a path, without its content.
struct FileStatus: Sendable {
    let device: UInt64
    let inode: UInt64
    let links: UInt64
    /// Nil for what never travels: sockets, FIFOs and devices.
    let kind: Entry.Kind?
    let mode: UInt16
    let owner: UInt32
    let group: UInt32
    let size: Int64
    /// Nanoseconds since 1970.
    let modified: Int64
    let changed: Int64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        links = UInt64(status.st_nlink)
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .folder
            case S_IFLNK: .link
            default: nil
            }
        mode = UInt16(status.st_mode & 0o7777)
        owner = status.st_uid
        group = status.st_gid
        size = Int64(status.st_size)
        modified = Self.nanoseconds(status.st_mtim)
        changed = Self.nanoseconds(status.st_ctim)
    }

    /// Wraps for times that do not fit, 292 years from 1970: such a time is wrong, but it is still the same each time.
    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    /// The time of the clock that the kernel stamps files with.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return nanoseconds(time)
    }
}

extension timespec {
    init(nanoseconds: Int64) {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        // `tv_nsec` may not be negative.
        self.init(
            tv_sec: rest < 0 ? Int(seconds) - 1 : Int(seconds), tv_nsec: Int(rest < 0 ? rest + 1_000_000_000 : rest))
    }
}
