package import Engine

/// Finds a container's memory group by its first process.
package enum ContainerGroup {
    /// - Parameters:
    ///   - processGroups: the text of `/proc/PID/cgroup`.
    ///   - mounts: the text of `/proc/mounts`.
    /// - Returns: the group that bears the container's id, above what its processes may have made below; nil where none does,
    ///   or where its files are not mounted here.
    package static func memory(of containerID: String, processGroups: String, mounts: String) -> MemoryGroup? {
        var unified: Substring?
        var controller: Substring?
        for line in processGroups.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            if fields[1].isEmpty { unified = fields[2] }
            if fields[1].split(separator: ",").contains("memory") { controller = fields[2] }
        }
        guard let path = controller ?? unified, let name = named(containerID, path),
            let group = ControlGroup.find(name, mounts: mounts)
        else { return nil }
        switch group {
        case .unified(let folder): return MemoryGroup(folder: folder, isUnified: true)
        case .perController(_, _, let memory): return memory.map { MemoryGroup(folder: $0, isUnified: false) }
        }
    }

    /// The path as far as the part that has the id.
    private static func named(_ containerID: String, _ path: Substring) -> String? {
        guard let id = path.firstRange(of: containerID) else { return nil }
        let rest = path[id.upperBound...]
        return String(path[..<(rest.firstIndex(of: "/") ?? path.endIndex)])
    }
}
