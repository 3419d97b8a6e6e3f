extension CreateRequest {
    /// A path of the device's that the container shall see.
    package struct BindMount: Sendable, Hashable {
        package var source: String
        /// In the container, as an engine shows it.
        package var target: String
        /// Whether an engine makes a missing source, as for `-v`; otherwise it is an error.
        package var makesSource: Bool
        /// Whether mounts below it would spread: then only the device itself can have it.
        package var spreads: Bool

        /// How it ties the container to its device; see `CreateRequest.ties`.
        package var tie: String { CreateRequest.tie(ofBind: source) }
    }

    static func tie(ofBind source: String) -> String { "bind mount \(source.cleanedPath)" }

    /// The label by which a front door tells a guard which of the sources are files: their paths, as JSON.
    package static let filesLabel = "io.lighter.files"

    /// The label by which `podman auto-update` knows containers whose image it may replace.
    package static let updateLabel = "io.containers.autoupdate"

    package var bindMounts: [BindMount] {
        var found: [BindMount] = []
        for bind in host.binds {
            let parts = bind.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count > 1, parts[0].utf8.first == UInt8(ascii: "/") else { continue }
            let options = parts.count > 2 ? parts[2].split(separator: ",").map(String.init) : []
            found.append(
                BindMount(
                    source: parts[0].cleanedPath, target: parts[1].cleanedPath, makesSource: true,
                    spreads: options.contains(where: Self.spreading.contains)))
        }
        for mount in host.mounts where mount.type == "bind" {
            found.append(
                BindMount(
                    source: mount.source.cleanedPath, target: mount.target.cleanedPath,
                    makesSource: false,
                    spreads: !["", "private", "rprivate"].contains(mount.propagation)))
        }
        return found
    }

    /// What a front door said of its sources.
    package var mountedFiles: [String] {
        guard let text = labels[Self.filesLabel], let list = try? JSON.parse(Array(text.utf8)).arrayValue else {
            return []
        }
        return list.compactMap(\.stringValue)
    }

    private static let spreading: Set<String> = ["shared", "rshared", "slave", "rslave"]
}

extension String {
    /// An absolute path as an engine shows it, so that one folder has one name: without double slashes and `.`, and without a slash
    /// at its end. Anything else as it is, and `..`, which would need the file system.
    package var cleanedPath: String {
        guard utf8.first == UInt8(ascii: "/") else { return self }
        return "/" + split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }
}
