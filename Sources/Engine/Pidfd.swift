import Glibc

/// The system calls behind `ExitWatch`.
enum Pidfd {
    private typealias SystemCall = @convention(c) (Int, Int, Int) -> Int

    /// Not every C library has `pidfd_open`, and Swift cannot call a variadic function: `syscall` is looked up by name. With
    /// integers only, the calling convention is the same on every platform that Swift has on Linux.
    private static let systemCall: SystemCall? = dlsym(nil, "syscall").map { unsafeBitCast($0, to: SystemCall.self) }

    /// - Returns: A descriptor (close-on-exec) that becomes readable at the process's end, or minus the error number.
    static func open(_ pid: Int32) -> Int32 {
        guard let systemCall else { return -ENOSYS }
        let descriptor = systemCall(434, Int(pid), 0)
        return descriptor >= 0 ? Int32(truncatingIfNeeded: descriptor) : -errno
    }

    /// Whether the process is in the container's cgroup, as seen from here.
    static func isProcess(_ pid: Int32, of containerID: String) -> Bool {
        guard let file = fopen("/proc/\(pid)/cgroup", "re") else { return false }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16 * 1024)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self).contains(containerID)
    }
}
