/// What a container shares with others.
extension CreateRequest {
    /// Another container whose network, volumes or namespaces it uses.
    package struct ContainerReference: Sendable, Hashable {
        /// As it was asked for: an id, a prefix of one or a name.
        package var reference: String
        /// How it ties the container to where the other one is; see `CreateRequest.ties`.
        package var tie: String
    }

    /// The user-defined networks that it names, each once.
    package var userNetworks: [String] {
        var names = endpoints
        if Self.container(host.networkMode) == nil { names.insert(host.networkMode, at: 0) }
        var seen: Set<String> = []
        return names.filter { !Self.ordinaryNetworks.contains($0) && $0 != "host" && seen.insert($0).inserted }
    }

    static func tie(ofNetwork name: String) -> String { "network \(name)" }
    package func tie(ofNetwork name: String) -> String { Self.tie(ofNetwork: name) }

    /// The named volumes that it mounts, each once; those with a driver of their own stand apart.
    package var namedVolumes: [String] {
        var names = host.binds.compactMap(Self.source(ofBind:)).filter { $0.utf8.first != UInt8(ascii: "/") }
        for mount in host.mounts where mount.type == "volume" && !mount.source.isEmpty {
            names.append(mount.source)
        }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// Whether it mounts volumes without naming them, beside those of its image.
    package var bringsVolumes: Bool {
        json.value(named: "Volumes")?.objectValue?.isEmpty == false || !host.volumesFrom.isEmpty
            || host.binds.contains { Self.source(ofBind: $0) == nil }
            || host.mounts.contains { $0.type == "volume" && $0.source.isEmpty }
    }

    /// Named volumes for which the request itself gives a driver or its options.
    package var drivenVolumes: Set<String> {
        Set(
            host.mounts.filter { $0.type == "volume" && ($0.hasDriverOptions || !["", "local"].contains($0.driver)) }
                .map(\.source))
    }

    package func tie(ofVolume name: String) -> String { "volume \(name)" }

    package var references: [ContainerReference] {
        var found = host.volumesFrom.map { text in
            ContainerReference(reference: Self.before(colonIn: text), tie: Self.tie(ofVolumesFrom: text))
        }
        if let other = Self.container(host.networkMode) {
            found.append(ContainerReference(reference: other, tie: Self.tie(ofNetworkOf: other)))
        }
        found += host.links.map { text in
            ContainerReference(reference: Self.before(colonIn: text), tie: Self.tie(ofLink: text))
        }
        for (kind, mode) in [("PID", host.pidMode), ("IPC", host.ipcMode)] {
            guard let other = Self.container(mode) else { continue }
            found.append(ContainerReference(reference: other, tie: Self.tie(ofNamespace: kind, of: other)))
        }
        return found
    }

    static func before(colonIn text: String) -> String { String(text.prefix { $0 != ":" }) }
    static func tie(ofVolumesFrom text: String) -> String { "volumes from \(text)" }
    static func tie(ofNetworkOf container: String) -> String { "network of container \(container)" }
    static func tie(ofLink text: String) -> String { "link to \(before(colonIn: text))" }
    static func tie(ofNamespace kind: String, of container: String) -> String {
        "\(kind) namespace of container \(container)"
    }

    /// The Compose project that it belongs to; nil for none.
    package var composeProject: String? { labels["com.docker.compose.project"].flatMap { $0.isEmpty ? nil : $0 } }
}
