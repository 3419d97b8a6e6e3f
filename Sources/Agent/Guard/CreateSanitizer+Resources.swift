import DockerAPI
import Fleet

/// HostConfig's resources: bounded, so that one caller cannot take the node from the others. Also `POST …/update`.
extension CreateSanitizer {
    /// The body of `POST /containers/REF/update`: resources and the restart policy.
    static let update = FieldTable(
        resources + [.structure("RestartPolicy", FieldTable([.text("Name"), .integer("MaximumRetryCount")]))])

    static let resources: [Field] = [
        .integer("CpuShares", notNegative), .integer("CpuPeriod", notNegative), .text("CpusetCpus"),
        .text("CpusetMems"), .integer("CpuQuota", checkQuota), .integer("NanoCpus", checkNanoCPUs),
        .integer("Memory", checkMemory), .integer("MemoryReservation", checkMemory),
        .integer("MemorySwap") { (value, path, profile) throws(DockerFailure) in
            guard value >= 0 else { throw profile.refusal("\(path)=\(value)", "swap is not given without a bound") }
        },
        Field(name: "MemorySwappiness") { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            let number = try value.integer(path, profile)
            guard (-1...100).contains(number) else { throw profile.malformed(path, "must be between 0 and 100, or -1") }
            return number == -1 ? nil : value
        },
        .integer("KernelMemory", notNegative), .integer("KernelMemoryTCP", notNegative),
        .integer("BlkioWeight", notNegative),
        .refused("BlkioWeightDevice", hostDevices), .refused("BlkioDeviceReadBps", hostDevices),
        .refused("BlkioDeviceWriteBps", hostDevices), .refused("BlkioDeviceReadIOps", hostDevices),
        .refused("BlkioDeviceWriteIOps", hostDevices),
        .refused("CpuRealtimePeriod", realtime), .refused("CpuRealtimeRuntime", realtime),
        .refused("CpuCount", windows), .refused("CpuPercent", windows), .refused("IOMaximumIOps", windows),
        .refused("IOMaximumBandwidth", windows),
        .refused("OomKillDisable", "a container that cannot be killed for memory would take the node down"),
        .integer("OomScoreAdj") { (value, path, profile) throws(DockerFailure) in
            guard value >= 0 else {
                throw profile.refusal(
                    "\(path)=\(value)", "an offloaded container is not spared before the node's own work")
            }
            guard value <= 1000 else { throw profile.malformed(path, "must be at most 1000") }
        },
        .integer("PidsLimit") { (value, path, profile) throws(DockerFailure) in
            guard value >= 0, value <= profile.policy.maximumPids else {
                throw profile.refusal(
                    "\(path)=\(value)", "processes are bounded: use 1 to \(profile.policy.maximumPids)")
            }
        },
        .structures("Ulimits", FieldTable([.text("Name"), .integer("Soft"), .integer("Hard")]), checkUlimit),
        .integer("ShmSize") { (value, path, profile) throws(DockerFailure) in
            let bound = profile.policy.maximumShm
            guard value >= 0, value <= bound.bytes else {
                throw profile.refusal("\(path)=\(value)", "/dev/shm is bounded to \(bound) here")
            }
        },
        Field(name: "Devices") { (value, path, profile) throws(DockerFailure) in
            try devices.admit(value, path, profile)
        },
        .refused("DeviceCgroupRules", "an offloaded container has Docker's default devices only"),
        Field(name: "DeviceRequests") { (value, path, profile) throws(DockerFailure) in
            if value.isZero { return nil }
            guard profile.policy.allowsDeviceRequests else {
                throw profile.refusal(path, "this node gives no GPUs away", setting: "device_requests")
            }
            return try deviceRequests.admit(value, path, profile)
        },
    ]

    private static let devices = Field.structures(
        "Devices", FieldTable([.text("PathOnHost"), .text("PathInContainer"), .text("CgroupPermissions")])
    ) { (pairs, path, profile) throws(DockerFailure) in
        guard case .string(let device)? = pairs.first("PathOnHost"), profile.policy.devices.contains(device) else {
            throw profile.refusal(path, "an offloaded container has Docker's default devices only", setting: "devices")
        }
    }

    private static let deviceRequests = Field.structures(
        "DeviceRequests",
        FieldTable([
            .text("Driver"), .integer("Count"), .texts("DeviceIDs"), .map("Options"),
            Field(name: "Capabilities") { (value, path, profile) throws(DockerFailure) in
                guard case .array(let sets) = value else { throw profile.malformed(path, "must be a list of lists") }
                for set in sets {
                    guard case .array(let words) = set else { throw profile.malformed(path, "must be a list of lists") }
                    for word in words { _ = try word.text(path, profile) }
                }
                return value
            },
        ]))

    @Sendable private static func checkQuota(
        _ value: Int64, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        guard value >= -1 else { throw profile.malformed(path, "must be a number of microseconds") }
    }

    @Sendable private static func checkNanoCPUs(
        _ value: Int64, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        try notNegative(value, path, profile)
        if let bound = profile.policy.maximumCPUs, Double(value) / 1e9 > bound {
            throw profile.refusal(path, "one container gets at most \(bound) CPUs here", setting: "max_cpus")
        }
    }

    @Sendable private static func checkMemory(
        _ value: Int64, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        try notNegative(value, path, profile)
        if let bound = profile.policy.maximumMemory, value > bound.bytes {
            throw profile.refusal(path, "one container gets at most \(bound) of memory here", setting: "max_memory")
        }
    }

    @Sendable private static func checkUlimit(
        _ pairs: [(String, JSON)], _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        guard case .string(let name)? = pairs.first("Name") else { throw profile.malformed(path, "has no Name") }
        let bound: Int64
        switch name {
        case "nofile": bound = profile.policy.maximumOpenFiles
        case "nproc", "sigpending": bound = profile.policy.maximumPids
        case "memlock": bound = profile.policy.maximumLockedMemory.bytes
        case "msgqueue": bound = 64 << 20
        // They bound the container itself and may be unlimited, as they are by default.
        case "core", "stack", "fsize", "data", "cpu", "rss", "as": return
        default: throw profile.refusal("\(path)=\(name)", "this limit is not given away")
        }
        for side in ["Soft", "Hard"] {
            guard case .number(let digits)? = pairs.first(side) else { continue }
            guard let value = Int64(digits), (0...bound).contains(value) else {
                throw profile.refusal("\(path).\(side)=\(digits)", "\(name) is bounded to \(bound) here")
            }
        }
    }

    private static let hostDevices = "it names devices of the node"
    private static let realtime = "real-time scheduling is kept for the node itself"
    private static let windows = "it is for Windows containers"
}
