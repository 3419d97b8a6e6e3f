package import Fleet

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where a meter reads: the kernel's files, or a test's.
package protocol MeterFiles: Sendable {
    /// The text of a file, as far as `limit` bytes; nil where it cannot be read.
    func text(of path: String, limit: Int) -> String?
    /// The path without symbolic links; nil where it does not exist.
    func resolved(_ path: String) -> String?
    /// What the file system of `path` has free for anyone but root; nil where it cannot be had.
    func diskFree(at path: String) -> ByteCount?
    /// Nanoseconds of a clock that only goes forward.
    func monotonicNanoseconds() -> UInt64
    /// Processors that are on line.
    func onlineProcessors() -> Int
}

/// The kernel's files, read through one small buffer on the stack: nothing is kept open and nothing allocated but the text.
package struct SystemFiles: MeterFiles {
    private static let bufferSize = 8 << 10

    package init() {}

    package func text(of path: String, limit: Int) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: Self.bufferSize, alignment: 16) { buffer -> String? in
            var bytes: [UInt8] = []
            while bytes.count < limit {
                let count = read(descriptor, buffer.baseAddress, min(buffer.count, limit - bytes.count))
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { return nil }
                if count == 0 { break }
                bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    package func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    package func diskFree(at path: String) -> ByteCount? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return ByteCount(overflow ? .max : Int64(clamping: bytes))
    }

    package func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    package func onlineProcessors() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
