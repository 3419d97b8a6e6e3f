import Glibc

/// The system calls behind `ExitWatch`.
enum Pidfd {
    private typealias SystemCall = @convention(c) (Int, Int, Int, Int, Int) -> Int

    /// Not every C library has `pidfd_open`, and Swift cannot call a variadic function: `syscall` is looked up by name. With
    /// integers only, the calling convention is the same on every platform that Swift has on Linux.
    private static let systemCall: SystemCall? = dlsym(nil, "syscall").map { unsafeBitCast($0, to: SystemCall.self) }
    private static let openNumber = 434
    private static let sendSignalNumber = 424

    /// - Returns: A descriptor (close-on-exec) that becomes readable at the process's end, or minus the error number.
    static func open(_ pid: Int32) -> Int32 {
        guard let systemCall else { return -ENOSYS }
        let descriptor = systemCall(openNumber, Int(pid), 0, 0, 0)
        return descriptor >= 0 ? Int32(truncatingIfNeeded: descriptor) : -errno
    }

    /// Whether the process is in the container's cgroup, as seen from here.
    static func isProcess(_ pid: Int32, of containerID: String) -> Bool {
        text("/proc/\(pid)/cgroup")?.contains(containerID) ?? false
    }

    /// How a process that has ended did, in the form of `wait`; nil where the kernel does not say.
    ///
    /// From Linux 6.15 on its pidfd says it once the parent has asked; until then, and before that release, `/proc` does, to
    /// whoever might trace the process.
    static func waitStatus(_ descriptor: Int32, pid: Int32) -> Int32? {
        information(descriptor) ?? unreaped(descriptor, pid) ?? information(descriptor)
    }

    /// `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT` of `linux/pidfd.h`, in the first version of its structure.
    private static func information(_ descriptor: Int32) -> Int32? {
        let size = 64
        let exit: UInt64 = 1 << 3
        let request = UInt(3) << 30 | UInt(size) << 16 | 0xff << 8 | 11
        var structure = [UInt8](repeating: 0, count: size)
        return structure.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            base.storeBytes(of: exit, as: UInt64.self)
            guard ioctl(descriptor, request, base) == 0, base.load(as: UInt64.self) & exit != 0 else { return nil }
            return base.load(fromByteOffset: size - 4, as: Int32.self)
        }
    }

    private static func unreaped(_ descriptor: Int32, _ pid: Int32) -> Int32? {
        guard let text = text("/proc/\(pid)/stat"), let status = status(stat: text), let systemCall,
            // The number was still this process's after it was read.
            systemCall(sendSignalNumber, Int(descriptor), 0, 0, 0) == 0
        else { return nil }
        return status
    }

    /// The status in a line of `/proc/PID/stat`; nil unless the process has ended.
    static func status(stat line: String) -> Int32? {
        // The second field is a name, in which anything may stand.
        guard let name = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: name)...].split(whereSeparator: \.isWhitespace)
        guard fields.count >= 50, fields[0] == "Z" || fields[0] == "X" else { return nil }
        return Int32(fields[49])
    }

    /// The exit code that an engine makes of a status: 128 and the signal for what a signal has ended.
    static func exitCode(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    /// A file of the kernel's, as far as `limit` bytes; nil where it cannot be read, or is empty.
    static func text(_ path: String, limit: Int = 16 * 1024) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: min(limit, 16 * 1024))
        while text.count < limit {
            let count = fread(&bytes, 1, bytes.count, file)
            guard count > 0 else { break }
            text += bytes.prefix(count)
        }
        return text.isEmpty ? nil : String(decoding: text.prefix(limit), as: UTF8.self)
    }
}
