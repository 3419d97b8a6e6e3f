internal import DockerAPI
internal import Fleet
internal import Glibc
internal import Mounts
internal import NIOPosix

/// Which of a container's bind mounts can be mirrored, and why the others cannot.
struct MountPlan: Sendable {
    var mirrored: [MirroredMount] = []
    /// What they hold.
    var size: ByteCount = .zero
    /// Ties of mounts that can be mirrored, and so are none.
    private var loosened: Set<String> = []
    /// What is wrong with the others, by tie. One bad use of a path is enough.
    private var obstacles: [String: String] = [:]

    /// What still ties the container to its device.
    func ties(of request: CreateRequest) -> [String] {
        request.ties.compactMap { tie in
            if let obstacle = obstacles[tie] { return "\(tie) (\(obstacle))" }
            return loosened.contains(tie) ? nil : tie
        }
    }

    /// Looks at the device's files, off the event loop.
    static func make(
        for request: CreateRequest, _ settings: FrontDoorConfiguration.MountSettings?
    ) async -> MountPlan {
        let asked = request.bindMounts
        guard let settings, !asked.isEmpty else { return MountPlan() }
        let plan = try? await NIOThreadPool.singleton.runIfActive {
            var plan = MountPlan()
            for mount in asked { plan.add(mount, settings) }
            return plan
        }
        return plan ?? MountPlan()
    }

    private mutating func add(
        _ mount: CreateRequest.BindMount, _ settings: FrontDoorConfiguration.MountSettings
    ) {
        var isFile = false
        if let same = mirrored.first(where: { $0.source == mount.source }), !mount.spreads {
            mirrored.append(MirroredMount(source: mount.source, target: mount.target, isFile: same.isFile))
        } else if let obstacle = Self.obstacle(to: mount, settings, &isFile, &size) {
            obstacles[mount.tie] = obstacle
        } else {
            loosened.insert(mount.tie)
            mirrored.append(MirroredMount(source: mount.source, target: mount.target, isFile: isFile))
        }
    }

    /// Why a path cannot be mirrored; nil when it can.
    private static func obstacle(
        to mount: CreateRequest.BindMount, _ settings: FrontDoorConfiguration.MountSettings, _ isFile: inout Bool,
        _ total: inout ByteCount
    ) -> String? {
        let path = mount.source
        guard path.utf8.first == UInt8(ascii: "/"), !path.split(separator: "/").contains("..") else {
            return "it is no absolute path"
        }
        if mount.spreads { return "mounts below it would have to spread" }
        for system in ["/", "/proc", "/sys", "/dev", "/run", "/var/run"]
        where path == system || system != "/" && path.hasPrefix("\(system)/") {
            return "it is the device's own"
        }
        var status = stat()
        if stat(path, &status) != 0 {
            // As an engine does for -v; --mount wants it to be there, and the engine here says so.
            guard errno == ENOENT, mount.makesSource, makeFolders(path), stat(path, &status) == 0 else {
                return "it is not there"
            }
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: isFile = true
        case S_IFDIR: isFile = false
        default: return "it is no folder or file"
        }
        do throws(MountError) {
            let size = try MountTree.measure(path, stoppingAbove: settings.maximumBytes - total)
            guard !size.isPartial else {
                let others = total > .zero ? " with the mounts before it" : ""
                return "it holds more\(others) than mounts_max_bytes, \(settings.maximumBytes)"
            }
            total += size.bytes
            return nil
        } catch {
            return error.message
        }
    }

    private static func makeFolders(_ path: String) -> Bool {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            guard mkdir(made, 0o755) == 0 || errno == EEXIST else { return false }
        }
        return true
    }
}
