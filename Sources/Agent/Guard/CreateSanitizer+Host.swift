import DockerAPI

/// HostConfig: where a container could get hold of its host.
extension CreateSanitizer {
    static let host = FieldTable(harmless + resources + isolation + storage + network)

    private static let harmless: [Field] = [
        .dropped("ContainerIDFile"), .flag("AutoRemove"), .flag("ReadonlyRootfs"), .flag("Init"),
        Field(name: "ConsoleSize") { (value, path, profile) throws(DockerFailure) in
            if value.isZero { return nil }
            guard case .array(let sides) = value, sides.count == 2 else {
                throw profile.malformed(path, "must be two numbers")
            }
            for side in sides { try notNegative(try side.integer(path, profile), path, profile) }
            return value
        },
        .texts("GroupAdd"),
        .structure("RestartPolicy", FieldTable([.text("Name"), .integer("MaximumRetryCount")])),
        .text("Isolation") { (text, path, profile) throws(DockerFailure) in
            guard text.isEmpty || text == "default" else {
                throw profile.refusal(path, "only the engine's default isolation is offered")
            }
        },
        .structure("LogConfig", FieldTable([.text("Type"), .map("Config")]), checkLogging),
        .refused("Annotations", "they steer the node's container runtime"),
    ]

    private static let isolation: [Field] = [
        .flag("Privileged") { (flag, path, profile) throws(DockerFailure) in
            guard !flag || profile.policy.allowsPrivileged else {
                throw profile.refusal(path, "offloaded containers run unprivileged", setting: "allow_privileged")
            }
        },
        .mappedText("PidMode") { (mode, path, profile) throws(DockerFailure) in
            try shared(mode, ["", "private"], path, profile, "its own process namespace")
        },
        .mappedText("IpcMode") { (mode, path, profile) throws(DockerFailure) in
            try shared(mode, ["", "none", "private", "shareable"], path, profile, "its own IPC namespace")
        },
        .text("UTSMode") { (mode, path, profile) throws(DockerFailure) in
            try own(mode, [""], path, profile, "its own host name")
        },
        .text("UsernsMode") { (mode, path, profile) throws(DockerFailure) in
            try own(mode, [""], path, profile, "the engine's user namespace")
        },
        .text("CgroupnsMode") { (mode, path, profile) throws(DockerFailure) in
            try own(mode, ["", "private"], path, profile, "its own cgroup namespace")
        },
        .refused("Cgroup", "an offloaded container has a cgroup of its own"),
        .refused("CgroupParent", "an offloaded container's cgroup is chosen by the node"),
        .texts("CapAdd", checkCapability), .texts("CapDrop"),
        .texts("SecurityOpt", checkSecurityOption),
        .map("Sysctls") { (key, value, path, profile) throws(DockerFailure) in
            guard safeSysctls.contains(key) else {
                throw profile.refusal(
                    path, "only sysctls of the container's own namespaces that are known to be safe are")
            }
            return value
        },
        .text("Runtime") { (name, path, profile) throws(DockerFailure) in
            guard name.isEmpty || profile.policy.runtimes.contains(name) else {
                throw profile.refusal(path, "only the engine's default runtime is offered", setting: "runtimes")
            }
        },
        unmasked("MaskedPaths"), unmasked("ReadonlyPaths"),
    ]

    /// Null keeps the engine's own list; any list, above all an empty one, would replace it.
    private static func unmasked(_ name: String) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            guard case .null = value else {
                throw profile.refusal(path, "the engine's masked and read-only paths under /proc and /sys stay")
            }
            return nil
        }
    }

    private static func own(
        _ mode: String, _ admitted: Set<String>, _ path: String, _ profile: CreateProfile, _ what: String
    ) throws(DockerFailure) {
        guard admitted.contains(mode) else {
            throw profile.refusal("\(path)=\(mode)", "an offloaded container has \(what)")
        }
    }

    /// A namespace mode that may also name a container, which must be the caller's; the full id takes its place.
    static func shared(
        _ mode: String, _ admitted: Set<String>, _ path: String, _ profile: CreateProfile, _ what: String
    ) throws(DockerFailure) -> String {
        if admitted.contains(mode) { return mode }
        guard let reference = containerReference(mode) else {
            throw profile.refusal("\(path)=\(mode)", "an offloaded container has \(what)")
        }
        guard let id = profile.ownContainers[reference] else {
            throw DockerFailure(status: 404, message: "No such container: \(reference)")
        }
        return "container:\(id)"
    }

    @Sendable private static func checkCapability(
        _ text: String, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        var name = text.uppercased()
        if name.hasPrefix("CAP_") { name.removeFirst(4) }
        guard defaultCapabilities.contains(name) || profile.policy.capabilities.contains(name) else {
            throw profile.refusal(
                "\(path)=\(text)", "no capability beyond Docker's default set is given away", setting: "capabilities")
        }
    }

    @Sendable private static func checkSecurityOption(
        _ text: String, _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        guard safeSecurityOptions.contains(text) else {
            throw profile.refusal(
                "\(path)=\(text.prefix(64))",
                "seccomp, AppArmor, SELinux and the masked paths stay as the engine sets them")
        }
    }

    @Sendable private static func checkLogging(
        _ pairs: [(String, JSON)], _ path: String, _ profile: CreateProfile
    ) throws(DockerFailure) {
        let type: String = if case .string(let text)? = pairs.first("Type") { text } else { "" }
        guard ["", "none", "json-file", "local"].contains(type) else {
            throw profile.refusal(
                "\(path).Type=\(type)", "logs of an offloaded container stay on the node (none, json-file, local)")
        }
        guard case .object(let options)? = pairs.first("Config") else { return }
        for key in options.keys where !safeLogOptions.contains(key) {
            // In an engine's words: none of its drivers that are admitted here knows the option.
            throw DockerFailure(
                status: 400, message: "unknown log opt '\(key)' for \(type.isEmpty ? "json-file" : type) log driver")
        }
    }

    static let defaultCapabilities: Set<String> = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
        "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    ]

    private static let safeSecurityOptions: Set<String> = [
        "no-new-privileges", "no-new-privileges=true", "no-new-privileges:true", "no-new-privileges=false",
        "no-new-privileges:false", "seccomp=builtin", "apparmor=docker-default", "apparmor:docker-default",
    ]

    private static let safeLogOptions: Set<String> = [
        "max-size", "max-file", "compress", "mode", "max-buffer-size", "labels", "labels-regex", "env", "env-regex",
        "tag",
    ]

    /// Those of the network and IPC namespaces that no setting of can harm the host.
    private static let safeSysctls: Set<String> = [
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shm_rmid_forced", "kernel.shmall",
        "kernel.shmmax", "kernel.shmmni", "fs.mqueue.msg_default", "fs.mqueue.msg_max", "fs.mqueue.msgsize_default",
        "fs.mqueue.msgsize_max", "fs.mqueue.queues_max", "net.core.somaxconn", "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_wmem", "net.ipv6.conf.all.disable_ipv6",
        "net.ipv6.conf.default.disable_ipv6",
    ]
}
