internal import Glibc

/// A look at a folder of this machine.
enum FolderLook {
    /// Whether the folder can be read and holds nothing.
    static func isEmpty(_ path: String) -> Bool {
        guard let folder = opendir(path) else { return false }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let isOwnOrParent = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 3) { name in
                    strcmp(name, ".") == 0 || strcmp(name, "..") == 0
                }
            }
            if !isOwnOrParent { return false }
        }
        return true
    }
}
