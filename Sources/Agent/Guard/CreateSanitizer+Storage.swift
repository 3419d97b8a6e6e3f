import DockerAPI
import Fleet

/// HostConfig's ways to files: binds, volumes, mounts, tmpfs.
extension CreateSanitizer {
    static let storage: [Field] = [
        Field(name: "Binds") { (value, path, profile) throws(DockerFailure) in
            if value.isZero { return nil }
            guard case .array(let items) = value else { throw profile.malformed(path, "must be a list of strings") }
            var mapped: [JSON] = []
            for item in items { mapped.append(.string(try bind(try item.text(path, profile), path, profile))) }
            return .array(mapped)
        },
        .structures("Mounts", mount, adjust: checkMount),
        Field(name: "VolumesFrom") { (value, path, profile) throws(DockerFailure) in
            if value.isZero { return nil }
            guard case .array(let items) = value else { throw profile.malformed(path, "must be a list of strings") }
            var mapped: [JSON] = []
            for item in items {
                let (reference, mode) = volumesFrom(try item.text(path, profile))
                guard let id = profile.ownContainers[reference] else {
                    throw DockerFailure(status: 404, message: "No such container: \(reference)")
                }
                mapped.append(.string(id + mode))
            }
            return .array(mapped)
        },
        .text("VolumeDriver") { (name, path, profile) throws(DockerFailure) in
            guard name.isEmpty || name == "local" else {
                throw profile.refusal("\(path)=\(name)", "volume drivers act with the node's rights")
            }
        },
        .refused("StorageOpt", "the engine's storage driver is configured by the node's owner"),
        .map("Tmpfs") { (_, options, path, profile) throws(DockerFailure) in
            try boundedTmpfs(options, path, profile)
        },
    ]

    /// `SOURCE:TARGET[:OPTIONS]` with what the source is on this node.
    private static func bind(
        _ text: String, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) -> String {
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        // One part is an anonymous volume; with more, the first is a path of the host or a volume's name.
        guard parts.count > 1 else { return text }
        guard parts.count <= 3 else {
            throw DockerFailure(status: 400, message: "invalid volume specification: '\(text)'")
        }
        for option in parts.count > 2 ? parts[2].split(separator: ",").map(String.init) : []
        where !bindOptions.contains(option) {
            guard spreading.contains(option) else {
                throw DockerFailure(status: 400, message: "invalid mode: \(parts[2])")
            }
            throw profile.refusal("\(path)=\(text)", "mounts do not spread between the container and the node")
        }
        parts[0] = try source(parts[0], path, profile)
        return parts.joined(separator: ":")
    }

    private static let spreading: Set<String> = ["shared", "rshared", "slave", "rslave"]
    private static let bindOptions: Set<String> = [
        "ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent", "default", "private", "rprivate",
    ]

    /// A path of the caller's is that of its mirror here, unless this node's owner lets others see that very path of its own.
    private static func source(
        _ source: String, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) -> String {
        if source.utf8.first == UInt8(ascii: "/") {
            if profile.policy.hostPaths.contains(source) { return source }
            guard let mirrors = profile.mirrors else {
                throw profile.refusal(
                    "\(path)=\(source)", "an offloaded container does not see this node's files", setting: "host_paths")
            }
            let source = source.cleanedPath
            return mirrors.root(of: source, isFile: profile.files.contains(source))
        } else {
            if let own = profile.ownVolumes[source] { return own }
            guard profile.policy.volumes.contains(source) else {
                throw profile.refusal(
                    "\(path)=\(source)", "volumes of this node's engine may be somebody else's", setting: "volumes")
            }
            return source
        }
    }

    private static let mount = FieldTable([
        .text("Type"), .text("Source"), .text("Target"), .flag("ReadOnly"), .text("Consistency"),
        .structure(
            "BindOptions",
            FieldTable([
                .text("Propagation") { (mode, path, profile) throws(DockerFailure) in
                    guard ["", "private", "rprivate"].contains(mode) else {
                        throw profile.refusal(
                            "\(path)=\(mode)", "mounts do not spread between the container and the node")
                    }
                },
                // Of a mirror, the source is there; of the owner's own files, nothing is made for others.
                .flag("NonRecursive"), .dropped("CreateMountpoint"),
                .flag("ReadOnlyNonRecursive"), .flag("ReadOnlyForceRecursive"),
            ])),
        .structure(
            "VolumeOptions",
            FieldTable([
                .flag("NoCopy"), .map("Labels"), .text("Subpath"),
                .refused("DriverConfig", "a volume driver's options can name any path or device of the node"),
            ])),
        .structure(
            "TmpfsOptions",
            FieldTable([
                .integer("SizeBytes") { (value, path, profile) throws(DockerFailure) in
                    guard (0...profile.policy.maximumTmpfs.bytes).contains(value) else {
                        throw profile.refusal(
                            "\(path)=\(value)", "a tmpfs is bounded to \(profile.policy.maximumTmpfs) here")
                    }
                },
                .integer("Mode", notNegative), .refused("Options", "use SizeBytes and Mode"),
            ])),
        .refused("ImageOptions", "image mounts are not offloaded"),
        .refused("ClusterOptions", "cluster volumes are not offloaded"),
    ])

    @Sendable private static func checkMount(
        _ pairs: inout [(String, JSON)], _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        let type: String = if case .string(let text)? = pairs.first("Type") { text } else { "" }
        let source: String = if case .string(let text)? = pairs.first("Source") { text } else { "" }
        switch type {
        case "tmpfs": return
        case "volume" where source.isEmpty: return
        case "volume":
            guard source.utf8.first != UInt8(ascii: "/") else {
                throw profile.malformed(path, "is a volume, not a path")
            }
            let mapped = try self.source(source, path, profile)
            pairs = pairs.map { $0.0 == "Source" ? ("Source", .string(mapped)) : $0 }
        case "bind":
            guard source.utf8.first == UInt8(ascii: "/") else {
                throw profile.malformed(path, "needs an absolute Source")
            }
            let mapped = try self.source(source, path, profile)
            pairs = pairs.map { $0.0 == "Source" ? ("Source", .string(mapped)) : $0 }
        default:
            throw profile.refusal("\(path).Type=\(type)", "only mounts of type bind, volume and tmpfs are offloaded")
        }
    }

    /// `size=` within the bound, and the bound itself where there is none: a tmpfs is this node's memory.
    private static func boundedTmpfs(
        _ options: String, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) -> String {
        let bound = profile.policy.maximumTmpfs
        var words = options.split(separator: ",").map(String.init)
        var isSized = false
        for word in words {
            let key = String(word.prefix { $0 != "=" })
            guard tmpfsOptions.contains(key) else {
                throw profile.refusal("\(path)=\(word)", "the option is not admitted")
            }
            guard key == "size" else { continue }
            guard let size = byteSize(word.dropFirst("size=".count)), size > 0, size <= bound.bytes else {
                throw profile.refusal("\(path)=\(word)", "a tmpfs is bounded to \(bound) here")
            }
            isSized = true
        }
        if !isSized { words.append("size=\(bound.bytes)") }
        return words.joined(separator: ",")
    }

    /// `16m`, `1g`, `4096` as the kernel reads them; nil for percentages and nonsense.
    static func byteSize(_ text: some StringProtocol) -> Int64? {
        var digits = String(text)
        var shift: Int64 = 0
        switch digits.utf8.last {
        case UInt8(ascii: "k"), UInt8(ascii: "K"): shift = 10
        case UInt8(ascii: "m"), UInt8(ascii: "M"): shift = 20
        case UInt8(ascii: "g"), UInt8(ascii: "G"): shift = 30
        default: break
        }
        if shift > 0 { digits.removeLast() }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(digits) else {
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : bytes
    }

    private static let tmpfsOptions: Set<String> = [
        "size", "mode", "uid", "gid", "nr_inodes", "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev",
        "sync",
        "async", "dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
        "nostrictatime",
    ]
}
