import Glibc

/// Gives the names in a folder, in no order, a part at a time.
final class FolderListing {
    private let stream: OpaquePointer

    /// Takes `descriptor` over.
    init(_ descriptor: Int32) throws(SystemFailure) {
        guard descriptor >= 0 else { throw .last }
        guard let stream = fdopendir(descriptor) else {
            let failure = SystemFailure.last
            close(descriptor)
            throw failure
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    /// The next names, without `.` and `..`; fewer than `limit` at the end.
    func next(_ limit: Int) throws(SystemFailure) -> [[UInt8]] {
        let dot = UInt8(ascii: ".")
        var names: [[UInt8]] = []
        errno = 0
        while names.count < limit, let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [dot], name != [dot, dot] { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw .last }
        return names
    }
}
