internal import CFileAttributes
import Glibc

/// Extended attributes of trees that travel whole: those of users, access lists and file capabilities, and what a writable layer
/// says of its folders.
extension TreeStep.ExtendedAttribute {
    private static let limit = 64 << 10
    private static let spaces = ["user.", "trusted.overlay.", "security.capability", "system.posix_acl_"].map {
        Array($0.utf8)
    }
    /// What an engine notes of where a file of a layer came from, and makes anew.
    private static let notes = [
        ".overlay.origin", ".overlay.impure", ".overlay.nlink", ".overlay.uuid", ".overlay.upper",
    ]
    .map { Array($0.utf8) }
    private static let withoutData = Array(".overlay.metacopy".utf8)

    static func travels(_ name: [UInt8]) -> Bool {
        spaces.contains { name.starts(with: $0) } && name.count <= 255 && !name.contains(0)
    }

    /// - Parameter isLayer: whether the engine's own notes mean nothing elsewhere.
    static func all(of file: Descriptor, isLayer: Bool) throws(MountError) -> [Self] {
        // Nearly always there are none.
        guard flistxattr(file.number, nil, 0) > 0 else { return [] }
        var list = [CChar](repeating: 0, count: limit)
        let count = flistxattr(file.number, &list, list.count)
        guard count > 0 else { return [] }
        var found: [Self] = []
        for name in list[..<count].map({ UInt8(bitPattern: $0) }).split(separator: 0).map(Array.init) {
            if isLayer, name.ends(with: withoutData) {
                throw MountError(.file, "the engine's storage keeps parts of files in the image (metacopy)")
            }
            guard travels(name), !isLayer || !notes.contains(where: name.ends(with:)) else { continue }
            var value = [UInt8](repeating: 0, count: limit)
            let size = withCString(name) { fgetxattr(file.number, $0, &value, value.count) }
            if size >= 0 { found.append(Self(name: name, value: Array(value[..<size]))) }
        }
        return found.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Makes the file's attributes these.
    static func apply(_ all: [Self], to file: Descriptor) throws(SystemFailure) {
        var list = [CChar](repeating: 0, count: limit)
        let count = flistxattr(file.number, &list, list.count)
        let wanted = Set(all.map(\.name))
        if count > 0 {
            for name in list[..<count].map({ UInt8(bitPattern: $0) }).split(separator: 0).map(Array.init)
            where travels(name) && !wanted.contains(name) {
                withCString(name) { _ = fremovexattr(file.number, $0) }
            }
        }
        for each in all {
            let result = withCString(each.name) { fsetxattr(file.number, $0, each.value, each.value.count, 0) }
            guard result == 0 else { throw .last }
        }
    }
}

extension [UInt8] {
    fileprivate func ends(with other: [UInt8]) -> Bool {
        count >= other.count && suffix(other.count).elementsEqual(other)
    }
}
