/// A path below a mount's root, as bytes: names on Linux need not be text, and two spellings of a letter are two names.
///
/// The empty path is the root itself. A value of this type has been checked: no empty names, no `.` or `..`, no NUL.
struct TreePath: Sendable, Hashable {
    /// As many as Linux takes in one call; deeper trees do not travel.
    static let limit = 4096
    static let nameLimit = 255
    static let root = TreePath(unchecked: [])

    let bytes: [UInt8]

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// Nil for what is not a plain path below a root.
    init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count < Self.limit else { return nil }
        if !bytes.isEmpty {
            for name in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
                guard Self.isName(name) else { return nil }
            }
        }
        self.bytes = Array(bytes)
    }

    static func isName(_ name: some Collection<UInt8>) -> Bool {
        guard (1...nameLimit).contains(name.count), !name.contains(0), !name.contains(UInt8(ascii: "/")) else {
            return false
        }
        return !(name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") })
    }

    var isRoot: Bool { bytes.isEmpty }
    var names: [ArraySlice<UInt8>] { bytes.split(separator: UInt8(ascii: "/")) }

    private var lastSlash: Int? { bytes.lastIndex(of: UInt8(ascii: "/")) }

    /// The last name; empty for the root.
    var name: ArraySlice<UInt8> { lastSlash.map { bytes[($0 + 1)...] } ?? bytes[...] }
    /// The folder that holds it; the root for the root.
    var parent: TreePath { TreePath(unchecked: lastSlash.map { Array(bytes[..<$0]) } ?? []) }

    /// The bytes of the folder that holds it and of its last name, by which it is found in a table.
    func withKey<R>(
        _ body: (_ folder: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) throws(SystemFailure) -> R
    ) throws(SystemFailure) -> R {
        let slash = lastSlash
        return try bytes[...].withBytes { all throws(SystemFailure) in
            let folder = UnsafeRawBufferPointer(rebasing: all[..<(slash ?? 0)])
            return try body(folder, UnsafeRawBufferPointer(rebasing: all[(slash.map { $0 + 1 } ?? 0)...]))
        }
    }

    /// What `withKey` gave.
    init(folder: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(folder.count + 1 + name.count)
        if !folder.isEmpty {
            bytes += folder
            bytes.append(UInt8(ascii: "/"))
        }
        bytes += name
        self.init(unchecked: bytes)
    }

    /// Whether it comes before the other one in a table: by folder, then by name.
    func isFiled(before other: TreePath) -> Bool {
        let (folder, others) = (bytes[..<(lastSlash ?? 0)], other.bytes[..<(other.lastSlash ?? 0)])
        if folder.elementsEqual(others) { return name.lexicographicallyPrecedes(other.name) }
        return folder.lexicographicallyPrecedes(others)
    }

    /// Nil where the path would become too long, or `name` is none.
    func appending(_ name: some Collection<UInt8>) -> TreePath? {
        guard Self.isName(name), bytes.count + 1 + name.count < Self.limit else { return nil }
        return TreePath(unchecked: isRoot ? Array(name) : bytes + [UInt8(ascii: "/")] + name)
    }

    /// Whether it lies anywhere below `folder`.
    func isBelow(_ folder: TreePath) -> Bool {
        if folder.isRoot { return !isRoot }
        return bytes.count > folder.bytes.count && bytes[folder.bytes.count] == UInt8(ascii: "/")
            && bytes.starts(with: folder.bytes)
    }
}

/// A folder comes before everything in it.
extension TreePath: Comparable {
    static func < (a: TreePath, b: TreePath) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

extension TreePath: CustomStringConvertible {
    var description: String { isRoot ? "." : String(decoding: bytes, as: UTF8.self) }
}

extension ArraySlice<UInt8> {
    func withBytes<R>(
        _ body: (UnsafeRawBufferPointer) throws(SystemFailure) -> R
    ) throws(SystemFailure) -> R {
        try withUnsafeBufferPointer { bytes throws(SystemFailure) in try body(UnsafeRawBufferPointer(bytes)) }
    }
}
