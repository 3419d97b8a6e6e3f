#if canImport(Glibc)
    import Glibc
#endif

enum OpenFiles {
    /// Each node is an open file: as many as the machine allows, rather than what a shell begins with.
    static func allowMany() {
        #if canImport(Glibc)
            var limit = rlimit()
            let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            guard getrlimit(kind, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
            limit.rlim_cur = limit.rlim_max
            _ = setrlimit(kind, &limit)
        #endif
    }
}
