package import DockerAPI
package import Fleet
import FoundationEssentials
import Glibc
import Mounts

/// The mirrors of other nodes' bind mounts on this node: where each is, by tenant, origin and path.
///
/// No path of this machine comes from a caller: what it calls its folder is hashed into a name.
package struct Mirrors: Sendable, Hashable {
    package let folder: String
    package let tenant: TenantID
    package let origin: NodeID

    package init(folder: String, tenant: TenantID, origin: NodeID) {
        self.folder = folder
        self.tenant = tenant
        self.origin = origin
    }

    /// What the container sees: a folder, or a file in one.
    package func root(of source: String, isFile: Bool) -> String { "\(place(of: source))/\(isFile ? "file" : "tree")" }

    /// What is remembered of it between sessions.
    package func memory(of source: String, isFile: Bool) -> String {
        "\(place(of: source))/\(isFile ? "file" : "tree").memory"
    }

    private func place(of source: String) -> String {
        "\(folder)/\(tenant)/\(origin)/\(PathName.standing(for: source))"
    }

    /// Makes an empty mirror where there is none, so that an engine finds what it shall mount.
    package func make(_ source: String, isFile: Bool) throws(DockerFailure) {
        let place = place(of: source)
        var path = ""
        for part in place.split(separator: "/") {
            path += "/\(part)"
            guard mkdir(path, 0o700) == 0 || errno == EEXIST || errno == EISDIR else { throw failure(source) }
        }
        let root = root(of: source, isFile: isFile)
        guard isFile else {
            guard mkdir(root, 0o755) == 0 || errno == EEXIST else { throw failure(source) }
            return
        }
        let file = open(root, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw failure(source) }
        close(file)
    }

    /// Removes mirrors that have not been used for a while and that no container has.
    ///
    /// A mirror that comes back is filled again; its origin's files are never touched.
    /// - Parameters:
    ///   - mounted: paths that containers of this node's engine have mounted.
    ///   - age: seconds since the last session.
    package static func sweep(_ folder: String, mounted: [String], olderThan age: Double, now: Double) {
        let files = FileManager.default
        for tenant in (try? files.contentsOfDirectory(atPath: folder)) ?? [] {
            for origin in (try? files.contentsOfDirectory(atPath: "\(folder)/\(tenant)")) ?? [] {
                let shelf = "\(folder)/\(tenant)/\(origin)"
                for name in (try? files.contentsOfDirectory(atPath: shelf)) ?? [] {
                    let place = "\(shelf)/\(name)"
                    var used = 0.0
                    let memories = ["tree.memory", "file.memory"].flatMap { [$0, $0 + ".changes"] }
                    for memory in memories {
                        var status = stat()
                        if lstat("\(place)/\(memory)", &status) == 0 { used = max(used, Double(status.st_mtim.tv_sec)) }
                    }
                    // One without a memory is just being made, or its first session never ended well.
                    var status = stat()
                    if used == 0, lstat(place, &status) == 0 { used = Double(status.st_mtim.tv_sec) }
                    guard now - used > age, !mounted.contains(where: { $0.hasPrefix("\(place)/") }) else { continue }
                    try? files.removeItem(atPath: place)
                }
            }
        }
    }

    private func failure(_ source: String) -> DockerFailure {
        let reason = String(cString: strerror(errno))
        return DockerFailure(status: 502, message: "lighter: no mirror of \(source) can be made: \(reason)")
    }
}
