/// The fields of a create request's HostConfig that placement and the guard read.
package struct HostOptions: Sendable, Hashable {
    package struct Mount: Sendable, Hashable {
        /// `bind`, `volume`, `tmpfs`, `npipe`, `cluster`, `image`.
        package var type: String
        package var source: String
        package var target: String
        package var readOnly: Bool
        /// The driver of a volume; empty for the engine's own.
        package var driver: String
        package var hasDriverOptions: Bool
        /// Of a bind: how mounts below it spread; empty for the engine's default, which is not at all.
        package var propagation: String
    }

    package struct PublishedPort: Sendable, Hashable {
        /// `80/tcp`.
        package var containerPort: String
        package var hostIP: String
        /// As asked for: a number, a range, or empty for any.
        package var hostPort: String
    }

    package let binds: [String]
    package let mounts: [Mount]
    package let tmpfs: [String]
    package let publishedPorts: [PublishedPort]
    package let publishAllPorts: Bool
    package let networkMode: String
    package let pidMode: String
    package let ipcMode: String
    package let utsMode: String
    package let usernsMode: String
    package let cgroupnsMode: String
    package let volumesFrom: [String]
    package let links: [String]
    package let extraHosts: [String]
    package let logDriver: String
    package let privileged: Bool
    package let capAdd: [String]
    package let securityOpt: [String]
    package let devices: [String]
    package let deviceRequests: Int
    package let deviceCgroupRules: [String]
    package let sysctls: [String]
    package let cgroupParent: String
    package let runtime: String
    package let volumeDriver: String
    package let restartPolicy: String
    package let autoRemove: Bool
    package let nanoCPUs: Int64
    package let cpuQuota: Int64
    package let cpuPeriod: Int64
    package let memory: Int64
    package let pidsLimit: Int64

    /// Whether the request replaces the engine's lists of hidden and read-only paths under /proc.
    package let replacesMaskedPaths: Bool

    /// Every field of HostConfig in API 1.24 to 1.50.
    static let fieldNames = [
        "Annotations", "AutoRemove", "Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps",
        "BlkioDeviceWriteIOps", "BlkioWeight", "BlkioWeightDevice", "CapAdd", "CapDrop", "Capabilities", "Cgroup",
        "CgroupParent", "CgroupnsMode", "ConsoleSize", "ContainerIDFile", "CpuCount", "CpuPercent", "CpuPeriod",
        "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems",
        "DeviceCgroupRules", "DeviceRequests", "Devices", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd",
        "IOMaximumBandwidth", "IOMaximumIOps", "Init", "IpcMode", "Isolation", "KernelMemory", "KernelMemoryTCP",
        "Links", "LogConfig", "MaskedPaths", "Memory", "MemoryReservation", "MemorySwap", "MemorySwappiness", "Mounts",
        "NanoCpus", "NetworkMode", "OomKillDisable", "OomScoreAdj", "PidMode", "PidsLimit", "PortBindings",
        "Privileged", "PublishAllPorts", "ReadonlyPaths", "ReadonlyRootfs", "RestartPolicy", "Runtime", "SecurityOpt",
        "ShmSize", "StorageOpt", "Sysctls", "Tmpfs", "UTSMode", "Ulimits", "UsernsMode", "VolumeDriver", "VolumesFrom",
    ]
    /// Those that an old engine takes from the top level even when there is a HostConfig.
    static let inheritedNames: Set<String> = ["Memory", "MemorySwap", "CpuShares", "CpusetCpus", "VolumeDriver"]

    /// - Parameter legacy: The request's top level, for the fields that are inherited from there.
    init(_ host: GoValue, legacy: GoValue) throws(DockerFailure) {
        binds = try host.member("Binds").strings()
        var mounts: [Mount] = []
        for item in try host.member("Mounts").list() {
            let driver = try item.member("VolumeOptions").member("DriverConfig")
            mounts.append(
                Mount(
                    type: try item.member("Type").string(), source: try item.member("Source").string(),
                    target: try item.member("Target").string(), readOnly: try item.member("ReadOnly").bool(),
                    driver: try driver.member("Name").string(),
                    hasDriverOptions: try !driver.member("Options").map().isEmpty,
                    propagation: try item.member("BindOptions").member("Propagation").string()))
        }
        self.mounts = mounts
        tmpfs = try host.member("Tmpfs").map().map(\.key)
        var ports: [PublishedPort] = []
        for (port, bindings) in try host.member("PortBindings").map() {
            for binding in try bindings.list() {
                ports.append(
                    PublishedPort(
                        containerPort: port, hostIP: try binding.member("HostIp").string(),
                        hostPort: try binding.member("HostPort").string()))
            }
        }
        publishedPorts = ports
        publishAllPorts = try host.member("PublishAllPorts").bool()
        networkMode = try host.member("NetworkMode").string()
        pidMode = try host.member("PidMode").string()
        ipcMode = try host.member("IpcMode").string()
        utsMode = try host.member("UTSMode").string()
        usernsMode = try host.member("UsernsMode").string()
        cgroupnsMode = try host.member("CgroupnsMode").string()
        volumesFrom = try host.member("VolumesFrom").strings()
        links = try host.member("Links").strings()
        extraHosts = try host.member("ExtraHosts").strings()
        logDriver = try host.member("LogConfig").member("Type").string()
        privileged = try host.member("Privileged").bool()
        capAdd = try host.member("CapAdd").words()
        securityOpt = try host.member("SecurityOpt").strings()
        var devices: [String] = []
        for device in try host.member("Devices").list() { devices.append(try device.member("PathOnHost").string()) }
        self.devices = devices
        deviceRequests = try host.member("DeviceRequests").list().count
        deviceCgroupRules = try host.member("DeviceCgroupRules").strings()
        sysctls = try host.member("Sysctls").map().map(\.key)
        cgroupParent = try host.member("CgroupParent").string()
        runtime = try host.member("Runtime").string()
        let driver = try host.member("VolumeDriver").string()
        volumeDriver = driver.isEmpty ? try legacy.member("VolumeDriver").string() : driver
        restartPolicy = try host.member("RestartPolicy").member("Name").string()
        autoRemove = try host.member("AutoRemove").bool()
        nanoCPUs = try host.member("NanoCpus").int()
        cpuQuota = try host.member("CpuQuota").int()
        cpuPeriod = try host.member("CpuPeriod").int()
        let memory = try host.member("Memory").int()
        self.memory = memory == 0 ? try legacy.member("Memory").int() : memory
        let masked = try host.member("MaskedPaths").json
        let readOnly = try host.member("ReadonlyPaths").json
        replacesMaskedPaths = !masked.isNull || !readOnly.isNull
        pidsLimit = try host.member("PidsLimit").int()
    }
}
