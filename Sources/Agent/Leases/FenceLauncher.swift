package import Glibc

/// Starts a fence for a folder, and waits until it watches.
package struct FenceLauncher: Sendable {
    /// Blocks until the fence watches, or cannot.
    /// - Returns: its process, or nil with the reason in `errno`.
    package var launch: @Sendable (_ folder: LeaseFolder) -> pid_t?

    package init(_ launch: @escaping @Sendable (LeaseFolder) -> pid_t?) { self.launch = launch }

    /// This very program, also when its file has been replaced: `lighterd fence DIR`.
    package static let own = FenceLauncher { spawn("/proc/self/exe", $0) }

    package static func spawn(_ program: String, _ folder: LeaseFolder) -> pid_t? {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let ownSession: Int32 = 0x80
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | ownSession))
        var process: pid_t = 0
        let texts: [String] = ["lighterd", "fence", folder.path]
        let words = texts.map { strdup($0) }
        defer { for word in words { free(word) } }
        let error = posix_spawn(&process, program, &actions, &attributes, words + [nil], environ)
        close(ends[1])
        guard error == 0 else {
            errno = error
            return nil
        }
        // It closes its end when it watches, by which time it has written; an end without a word is one that could not.
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) < 0 { guard errno == EINTR else { break } }
        guard byte != 0 || folder.fence != nil else {
            errno = ECHILD
            return nil
        }
        return process
    }
}
