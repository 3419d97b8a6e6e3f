internal import DockerAPI

/// A version of Docker's API, as in `/v1.41/…`.
struct APIVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    var major: Int
    var minor: Int

    static let oldest = APIVersion(major: 1, minor: 24)
    /// From here on a stream without a terminal is announced as `application/vnd.docker.multiplexed-stream`.
    static let multiplexedStreams = APIVersion(major: 1, minor: 42)
    /// From here on a prune of volumes takes only anonymous ones, unless all are asked for.
    static let anonymousVolumePrune = APIVersion(major: 1, minor: 42)
    /// From here on a container may be made in several networks at once.
    static let severalNetworks = APIVersion(major: 1, minor: 44)
    /// From here on read-only mounts may be so with all that is mounted below them.
    static let recursiveReadOnly = APIVersion(major: 1, minor: 44)
    /// From here on a part of a volume may be mounted.
    static let volumeSubpath = APIVersion(major: 1, minor: 45)
    /// What is promised where no engine has said yet what it speaks.
    static let fallback = APIVersion(major: 1, minor: 41)

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Nil for what is not `MAJOR.MINOR`.
    init?(_ text: String) {
        let parts = text.split(separator: ".")
        guard parts.count == 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    /// What a create asks for that an engine of this version would pass over in silence, and make another container.
    func passesOver(_ create: JSON) -> String? {
        for mount in create.value(named: "HostConfig")?.value(named: "Mounts")?.arrayValue ?? [] {
            let subpath = mount.value(named: "VolumeOptions")?.value(named: "Subpath")?.stringValue ?? ""
            if self < .volumeSubpath, !subpath.isEmpty { return "parts of volumes" }
            let isForced = mount.value(named: "BindOptions")?.value(named: "ReadOnlyForceRecursive")?.boolValue ?? false
            if self < .recursiveReadOnly, isForced { return "mounts that are read-only with all below them" }
        }
        return nil
    }

    static func < (a: Self, b: Self) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
    var description: String { "\(major).\(minor)" }
}
