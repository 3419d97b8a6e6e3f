package import Fleet

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a node keeps for itself: creates that would eat into it are refused, so that their origin tries elsewhere.
package struct Headroom: Sendable, Hashable {
    /// `min_free_memory`
    package var memory: ByteCount = .mebibytes(128)
    /// `min_free_disk`, under the engine's data root.
    package var disk: ByteCount = .mebibytes(512)
    /// `min_free_pids`
    package var pids: Int64 = 512

    package init() {}

    /// What is free on a node; nil where it could not be measured, which refuses nothing.
    package struct Free: Sendable, Hashable {
        package var memory: ByteCount?
        package var disk: ByteCount?
        package var pids: Int64?

        package init(memory: ByteCount? = nil, disk: ByteCount? = nil, pids: Int64? = nil) {
            self.memory = memory
            self.disk = disk
            self.pids = pids
        }
    }

    /// Why a container that asks for so much is not admitted now; nil when it is.
    package func refusal(_ free: Free, asked: Resources = .none, incoming: ByteCount = .zero) -> String? {
        if let left = free.memory, left - asked.memory < memory {
            return "\(left) of memory is free, \(asked.memory) is asked for, and \(memory) is kept"
        }
        if let left = free.disk, left - incoming < disk {
            return "\(left) of disk is free, \(incoming) comes in, and \(disk) is kept"
        }
        if let left = free.pids, left < pids { return "\(left) process ids are free, and \(pids) are kept" }
        return nil
    }
}

extension Headroom.Free {
    /// Measures this machine; three small reads from memory, no more than tens of microseconds.
    /// - Parameter dataRoot: the engine's, for its file system's free space.
    package static func measure(dataRoot: String) -> Self {
        Self(memory: freeMemory(), disk: freeDisk(dataRoot), pids: freePids())
    }

    private static func freeMemory() -> ByteCount? {
        guard let text = contents("/proc/meminfo") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
            let words = line.split(separator: " ")
            return words.count > 1 ? Int64(words[1]).map { .kibibytes($0) } : nil
        }
        return nil
    }

    private static func freeDisk(_ path: String) -> ByteCount? {
        var figures = statvfs()
        guard statvfs(path, &figures) == 0 else { return nil }
        return ByteCount(
            Int64(
                clamping: UInt64(figures.f_bavail).multipliedReportingOverflow(by: UInt64(figures.f_frsize))
                    .partialValue))
    }

    /// `/proc/loadavg` has `running/all` tasks as its fourth word.
    private static func freePids() -> Int64? {
        guard
            let bound = contents("/proc/sys/kernel/pid_max").flatMap({ Int64($0.split(separator: "\n").first ?? "") }),
            let words = contents("/proc/loadavg")?.split(separator: " "), words.count > 3,
            let all = words[3].split(separator: "/").last.flatMap({ Int64($0) })
        else { return nil }
        return bound - all
    }

    /// A small file of `/proc`; nil when it cannot be read.
    private static func contents(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 8192) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
