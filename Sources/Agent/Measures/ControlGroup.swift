/// Where the files of one control group are: one folder in version 2, one per controller in version 1.
package enum ControlGroup: Sendable, Hashable {
    case unified(String)
    /// Folders of `cpu`, `cpuacct` and `memory`; nil where that controller is not mounted.
    case perController(cpu: String?, cpuacct: String?, memory: String?)

    /// Finds the group that `path` names.
    ///
    /// - Parameters:
    ///   - path: A folder of a mounted hierarchy, without symbolic links (`/sys/fs/cgroup/cpu/edge`), or the name that
    ///     `/proc/PID/cgroup` gives (`/edge`).
    ///   - mounts: The text of `/proc/mounts`.
    /// - Returns: nil where no hierarchy holds it.
    package static func find(_ path: String, mounts: String) -> ControlGroup? {
        let hierarchies = hierarchies(mounts)
        let holding = hierarchies.filter { relative(path, to: $0.folder) != nil }.max {
            $0.folder.utf8.count < $1.folder.utf8.count
        }
        if let holding, let name = relative(path, to: holding.folder) {
            return holding.isUnified ? .unified(path) : perController(name, hierarchies)
        }
        // Not below a hierarchy: a name within them.
        guard path.hasPrefix("/"), !path.hasPrefix("/sys/") else { return nil }
        let name = path == "/" ? "" : path
        if hierarchies.contains(where: { $0.controllers.contains("cpuacct") || $0.controllers.contains("cpu") }) {
            return perController(name, hierarchies)
        }
        return hierarchies.first(where: \.isUnified).map { .unified($0.folder + name) }
    }

    private struct Hierarchy {
        var folder: String
        var isUnified: Bool
        var controllers: [Substring]
    }

    private static func perController(_ name: String, _ hierarchies: [Hierarchy]) -> ControlGroup {
        func folder(_ controller: Substring) -> String? {
            hierarchies.first { $0.controllers.contains(controller) }.map { $0.folder + name }
        }
        return .perController(cpu: folder("cpu"), cpuacct: folder("cpuacct"), memory: folder("memory"))
    }

    private static func hierarchies(_ mounts: String) -> [Hierarchy] {
        mounts.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4, fields[2] == "cgroup" || fields[2] == "cgroup2" else { return nil }
            let isUnified = fields[2] == "cgroup2"
            return Hierarchy(
                folder: unescaped(fields[1]), isUnified: isUnified,
                controllers: isUnified ? [] : fields[3].split(separator: ","))
        }
    }

    /// What follows `folder` in `path`, with its slash; empty where they are the same; nil where `path` is not in it.
    private static func relative(_ path: String, to folder: String) -> String? {
        guard path.hasPrefix(folder) else { return nil }
        let rest = path.dropFirst(folder.count)
        guard rest.isEmpty || rest.hasPrefix("/") else { return nil }
        var name = String(rest)
        while name.hasSuffix("/") { name.removeLast() }
        return name
    }

    /// Mount tables write blanks, tabs and backslashes as three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
