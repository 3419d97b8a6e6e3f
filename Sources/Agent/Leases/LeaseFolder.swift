import DockerAPI
package import Fleet
package import Glibc

/// The node's runtime folder for exclusive work: a gate for each lease, the table, and what finds the fence.
///
/// A gate is an empty file that the lease's container has mounted. No engine starts a container whose mount's source is missing,
/// whatever it was told of restarts: so a gate that is gone keeps the work down, and the folder is lost at a boot.
package struct LeaseFolder: Sendable, Hashable {
    /// Where a container finds its gate: not in its own layers, and not in the way of anything.
    package static let mountTarget = CreateRequest.gateTarget

    package let path: String

    package init(path: String) { self.path = path }

    /// With the version of what is in it: an upgrade leaves an older fence its own.
    package var tablePath: String { "\(path)/table.1" }
    private var lockPath: String { "\(path)/fence.lock" }
    private var wakePath: String { "\(path)/fence.wake" }
    private var gates: String { "\(path)/gates" }

    /// - Returns: 0, or the error number.
    package func make() -> Int32 {
        // An engine of another user must come as far as the gates.
        var parent = ""
        for part in gates.split(separator: "/") {
            parent += "/\(part)"
            if mkdir(parent, 0o755) != 0, errno != EEXIST { return errno }
        }
        return 0
    }

    // MARK: - Gates

    package func gate(_ workload: WorkloadID, epoch: UInt64) -> String { "\(gates)/\(workload.hex).\(epoch)" }

    /// - Returns: 0, or the error number.
    package func open(_ workload: WorkloadID, epoch: UInt64) -> Int32 {
        let file = Glibc.open(gate(workload, epoch: epoch), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o444)
        guard file >= 0 else { return errno }
        close(file)
        return 0
    }

    package func shut(_ workload: WorkloadID, epoch: UInt64) { unlink(gate(workload, epoch: epoch)) }

    /// Removes every gate that is not one of these.
    package func shut(exceptOf kept: Set<String>) {
        guard let directory = opendir(gates) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let gate = "\(gates)/\(name)"
            if name != ".", name != "..", !kept.contains(gate) { unlink(gate) }
        }
    }

    // MARK: - The fence

    /// The process that watches this folder; nil where none does.
    package var fence: pid_t? {
        let file = Glibc.open(lockPath, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var question = Self.wholeFile
        // Asking takes nothing that a fence which begins just now could miss.
        guard fcntl(file, F_GETLK, &question) == 0, question.l_type != Int16(F_UNLCK) else { return nil }
        return question.l_pid
    }

    /// Becomes the one fence of the folder, until the process ends.
    /// - Returns: false where there is another, or no folder.
    func lock() -> Bool {
        let file = Glibc.open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        var lock = Self.wholeFile
        guard fcntl(file, F_SETLK, &lock) == 0 else {
            close(file)
            return false
        }
        return true
    }

    /// For one that thinks of leaving: lighterd may start another from here on.
    func unlock() {
        // A process loses its locks of a file with any of the file's descriptors.
        close(Glibc.open(lockPath, O_RDWR | O_CLOEXEC))
    }

    private static var wholeFile: Glibc.flock {
        var lock = Glibc.flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }

    /// What the fence waits at for news; open both ways, so that it has no end.
    func wakeEnd() -> Int32 {
        if mkfifo(wakePath, 0o600) != 0, errno != EEXIST { return -1 }
        return Glibc.open(wakePath, O_RDWR | O_NONBLOCK | O_CLOEXEC)
    }

    /// Has the fence look at the table again.
    package func wake() {
        let file = Glibc.open(wakePath, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return }
        var byte: UInt8 = 0
        // A full pipe wakes it just as well.
        _ = write(file, &byte, 1)
        close(file)
    }

    /// Whether a boot empties it by itself.
    package var isVolatile: Bool {
        let files = SystemFiles()
        guard let place = files.resolved(path), let mounts = files.text(of: "/proc/self/mounts", limit: 1 << 20) else {
            return false
        }
        // Of mounts one over the other the last one counts.
        var nearest = (length: 0, type: "")
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count > 2 else { continue }
            let (mount, length) = (fields[1], fields[1].utf8.count)
            guard mount == "/" || place == mount || place.hasPrefix(mount + "/"), length >= nearest.length else {
                continue
            }
            nearest = (length, fields[2])
        }
        return ["tmpfs", "ramfs"].contains(nearest.type)
    }
}
