import Glibc

/// An open file or folder; closed with its last reference.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes `number` over.
    init(_ number: Int32) throws(SystemFailure) {
        guard number >= 0 else { throw .last }
        self.number = number
    }

    deinit { close(number) }

    func status() throws(SystemFailure) -> FileStatus {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last }
        return FileStatus(status)
    }

    /// Reads at `offset` until `count` bytes are in the array's start or the file ends.
    /// - Returns: How many bytes were read.
    func read(into bytes: inout [UInt8], count: Int, at offset: Int64) throws(SystemFailure) -> Int {
        let result = bytes.withUnsafeMutableBytes { bytes in
            read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<min(count, bytes.count)]), at: offset)
        }
        guard result >= 0 else { throw SystemFailure(Int32(-result)) }
        return result
    }

    /// - Returns: How many bytes were read, or minus the error number.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = pread(number, rest.baseAddress, rest.count, Int(offset) + filled)
            if count == 0 { break }
            if count > 0 { filled += count } else if errno != EINTR { return -Int(errno) }
        }
        return filled
    }

    /// - Returns: 0, or the error number.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Int32 {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = pwrite(number, rest.baseAddress, rest.count, Int(offset) + written)
            if count >= 0 { written += count } else if errno != EINTR { return errno }
        }
        return 0
    }

    func truncate(to size: Int64) throws(SystemFailure) {
        guard ftruncate(number, Int(size)) == 0 else { throw .last }
    }
}
