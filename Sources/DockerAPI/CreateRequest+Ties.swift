extension CreateRequest {
    /// What binds the container to the node where it was asked for, in a person's words: `bind mount /data`.
    ///
    /// Anonymous volumes and tmpfs bind it to nothing. Each word appears once, in a fixed order of kinds.
    package var ties: [String] {
        var ties = mountTies + networkTies + namespaceTies
        if host.privileged { ties.append("privileged mode") }
        ties += host.devices.map { "device \($0)" }
        if !host.deviceCgroupRules.isEmpty { ties.append("device rules") }
        if host.deviceRequests > 0 { ties.append("requested devices (GPUs)") }
        if !["", "json-file", "default", "none", "local"].contains(host.logDriver) {
            ties.append("log driver \(host.logDriver)")
        }
        if !host.cgroupParent.isEmpty { ties.append("cgroup \(host.cgroupParent)") }
        var seen: Set<String> = []
        return ties.filter { seen.insert($0).inserted }
    }

    private var mountTies: [String] {
        var ties: [String] = []
        for bind in host.binds {
            guard let source = Self.source(ofBind: bind) else { continue }
            ties.append(
                source.utf8.first == UInt8(ascii: "/")
                    ? Self.tie(ofBind: source) : "volume \(source)")
        }
        for mount in host.mounts {
            switch mount.type {
            case "tmpfs": break
            case "volume":
                if !mount.source.isEmpty {
                    ties.append("volume \(mount.source)")
                } else if mount.hasDriverOptions || !["", "local"].contains(mount.driver) {
                    ties.append("volume at \(mount.target) with options of its own")
                }
            case "bind": ties.append(Self.tie(ofBind: mount.source))
            default: ties.append("\(mount.type) mount \(mount.source)")
            }
        }
        ties += host.volumesFrom.map(Self.tie(ofVolumesFrom:))
        if !["", "local"].contains(host.volumeDriver) { ties.append("volume driver \(host.volumeDriver)") }
        return ties
    }

    /// What stands before the first colon of `source:target[:options]`; nil for an anonymous volume.
    static func source(ofBind bind: String) -> String? {
        guard let colon = bind.utf8.firstIndex(of: ASCII.colon), colon > bind.startIndex else { return nil }
        return String(bind[..<colon])
    }

    private var networkTies: [String] {
        var ties = host.publishedPorts.filter { !$0.canBeForwarded }.map { "published port \($0.containerPort)" }
        if host.networkMode == "host" {
            ties.append("host network")
        } else if let other = Self.container(host.networkMode) {
            ties.append(Self.tie(ofNetworkOf: other))
        } else if !Self.ordinaryNetworks.contains(host.networkMode) {
            ties.append(Self.tie(ofNetwork: host.networkMode))
        }
        ties += endpoints.filter { !Self.ordinaryNetworks.contains($0) && $0 != "host" }.map(Self.tie(ofNetwork:))
        ties += host.links.map(Self.tie(ofLink:))
        if host.extraHosts.contains(where: { $0.hasSuffix("host-gateway") }) { ties.append("the host's address") }
        return ties
    }

    static let ordinaryNetworks: Set<String> = ["", "default", "bridge", "none"]

    private var namespaceTies: [String] {
        let modes = [
            ("PID", host.pidMode), ("IPC", host.ipcMode), ("UTS", host.utsMode), ("user", host.usernsMode),
            ("cgroup", host.cgroupnsMode),
        ]
        return modes.compactMap { kind, mode in
            if mode == "host" { return "host \(kind) namespace" }
            return Self.container(mode).map { Self.tie(ofNamespace: kind, of: $0) }
        }
    }

    static func container(_ mode: String) -> String? {
        mode.hasPrefix("container:") ? String(mode.dropFirst(10)) : nil
    }
}
