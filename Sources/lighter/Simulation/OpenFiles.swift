import Glibc

/// How many files and connections a process may have open.
enum OpenFiles {
    /// Raises this process's own bound, which its children take over.
    ///
    /// - Throws: `CommandFailure` where the machine does not allow as many.
    static func allow(_ count: Int) throws {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        guard limit.rlim_cur >= UInt(count) else {
            throw CommandFailure(
                "this needs \(count) open files, and the machine allows \(limit.rlim_cur): raise `ulimit -Hn`")
        }
    }
}
