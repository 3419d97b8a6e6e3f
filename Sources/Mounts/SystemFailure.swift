import Glibc

/// A system call that failed, before it is known what that means for the mount.
struct SystemFailure: Error, Hashable, CustomStringConvertible {
    let code: Int32

    init(_ code: Int32) { self.code = code }

    /// The failure of the call just made.
    static var last: SystemFailure { SystemFailure(errno) }

    /// What the peer sent cannot be.
    static let impossible = SystemFailure(EPROTO)

    /// Whether the path is not there, or a link or a file is in its way.
    var isAbsence: Bool { code == ENOENT || code == ENOTDIR || code == ELOOP }

    var description: String { String(cString: strerror(code)) }
}

/// Calls with a name as C wants it.
func withCString<R>(_ bytes: some Collection<UInt8>, _ body: (UnsafePointer<CChar>) -> R) -> R {
    var text = [CChar]()
    text.reserveCapacity(bytes.count + 1)
    for byte in bytes { text.append(CChar(bitPattern: byte)) }
    text.append(0)
    return text.withUnsafeBufferPointer { buffer in
        // The text holds at least its terminator.
        buffer.baseAddress.map(body) ?? body("")
    }
}
