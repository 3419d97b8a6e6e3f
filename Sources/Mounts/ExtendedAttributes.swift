internal import CFileAttributes
import Glibc

/// A file's or folder's extended attributes in the `user.` space; no other may be set by a peer.
struct ExtendedAttributes: Sendable, Hashable {
    /// More than this does not travel.
    static let limit = 64 << 10
    private static let space = Array("user.".utf8)

    /// By name; sorted by it.
    private(set) var values: [(name: [UInt8], value: [UInt8])] = []

    static let none = ExtendedAttributes()

    /// - Returns: False when the attribute is not one that travels.
    mutating func append(_ name: [UInt8], _ value: [UInt8]) -> Bool {
        guard name.starts(with: Self.space), (Self.space.count + 1...255).contains(name.count), !name.contains(0),
            byteCount + name.count + value.count <= Self.limit
        else { return false }
        values.append((name, value))
        return true
    }

    var byteCount: Int { values.reduce(0) { $0 + $1.name.count + $1.value.count } }

    /// 0 for none.
    var hash: UInt64 {
        guard !values.isEmpty else { return 0 }
        var bytes: [UInt8] = []
        for (name, value) in values {
            bytes += name + [0] + withUnsafeBytes(of: UInt32(value.count).littleEndian) { Array($0) } + value
        }
        return max(1, Digest(of: bytes).words.0)
    }

    static func == (a: Self, b: Self) -> Bool {
        a.values.elementsEqual(b.values) { $0.name == $1.name && $0.value == $1.value }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(hash) }

    /// None on a file system that has none.
    init(of file: Descriptor) {
        for name in Self.names(of: file).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            var value = [UInt8](repeating: 0, count: Self.limit)
            let count = withCString(name) { fgetxattr(file.number, $0, &value, value.count) }
            if count >= 0 { _ = append(name, Array(value[..<count])) }
        }
    }

    private init() {}

    /// Makes the file's attributes these, as far as its file system can.
    func apply(to file: Descriptor) {
        let names = Set(values.map(\.name))
        for name in Self.names(of: file) where !names.contains(name) {
            withCString(name) { _ = fremovexattr(file.number, $0) }
        }
        for (name, value) in values {
            withCString(name) { _ = fsetxattr(file.number, $0, value, value.count, 0) }
        }
    }

    private static func names(of file: Descriptor) -> [[UInt8]] {
        // Nearly always there are none.
        guard flistxattr(file.number, nil, 0) > 0 else { return [] }
        var list = [CChar](repeating: 0, count: limit)
        let count = flistxattr(file.number, &list, list.count)
        guard count > 0 else { return [] }
        return list[..<count].map { UInt8(bitPattern: $0) }.split(separator: 0).map { Array($0) }
            .filter { $0.starts(with: space) }
    }
}
