internal import DockerAPI
internal import Engine
internal import Fleet
internal import NIOCore

/// What a container that is moved takes along.
struct Luggage: Sendable {
    struct Volume: Sendable, Hashable {
        var name: String
        /// Where the container has it.
        var path: String
        var isReadOnly: Bool
        /// As its users see it where it is.
        var shown: JSON = [:]
    }

    /// As its engine calls it.
    var container: String
    var volumes: [Volume]
    /// The volume in which its writable layer waits.
    var waitingRoom: String
    var names: Set<String> { Set(volumes.map(\.name)) }

    static let prefix = "lighter-layer-"

    init(_ container: JSON, _ workload: WorkloadID, _ name: (String) -> String) {
        self.container = String((container["Name"]?.stringValue ?? "").drop { $0 == "/" })
        waitingRoom = Self.prefix + workload.hex
        volumes = (container["Mounts"]?.arrayValue ?? []).compactMap { mount in
            guard mount["Type"]?.stringValue == "volume", let volume = mount["Name"]?.stringValue,
                let path = mount["Destination"]?.stringValue
            else { return nil }
            return Volume(name: name(volume), path: path, isReadOnly: mount["RW"]?.boolValue == false)
        }
    }
}

/// What a move with all that the container wrote has cost.
struct Journey: Sendable {
    /// For how long it did not run; nil where that is not known, or it did not run before.
    var stopped: Duration?
    /// Whether its new node was heard of its start; else it is tried until it is.
    var isAnswered = true
    /// Bytes of contents that travelled while it ran, and those of the last difference.
    var ahead: Int64 = 0
    var last: Int64 = 0
    /// Volumes that hold nothing, though their images may have something for them.
    var empty: Set<String> = []
}

extension JSON {
    /// A create request that names the volumes which a container has without names, as they are called already.
    func withVolumes(_ volumes: [Luggage.Volume]) -> JSON {
        var json = self
        let unnamed = volumes.filter { VolumeName.isAnonymous($0.name) }
        guard !unnamed.isEmpty else { return json }
        json.update(named: "HostConfig") { host in
            var binds = host.value(named: "Binds")?.arrayValue ?? []
            var mounts = host.value(named: "Mounts")?.arrayValue ?? []
            for volume in unnamed {
                let path = JSON.string(volume.path)
                binds.removeAll { $0 == path }
                mounts.removeAll { $0.value(named: "Target") == path }
                mounts.append([
                    "Type": "volume", "Source": .string(volume.name), "Target": path,
                    "ReadOnly": .bool(volume.isReadOnly),
                ])
            }
            if !binds.isEmpty || host.value(named: "Binds") != nil { host.set(.array(binds), named: "Binds") }
            host.set(.array(mounts), named: "Mounts")
        }
        return json
    }

    /// A create request by which no engine fills these volumes with what the image has where they are.
    func withoutFilling(_ volumes: Set<String>) -> JSON {
        guard !volumes.isEmpty else { return self }
        var json = self
        json.update(named: "HostConfig") { host in
            if let binds = host.value(named: "Binds")?.arrayValue {
                let unfilled = binds.map { bind -> JSON in
                    let parts = (bind.stringValue ?? "").split(separator: ":", omittingEmptySubsequences: false)
                    guard let text = bind.stringValue, parts.count > 1, volumes.contains(String(parts[0])) else {
                        return bind
                    }
                    return .string(text + (parts.count > 2 ? ",nocopy" : ":nocopy"))
                }
                host.set(.array(unfilled), named: "Binds")
            }
            if let mounts = host.value(named: "Mounts")?.arrayValue {
                let unfilled = mounts.map { mount -> JSON in
                    guard volumes.contains(mount.value(named: "Source")?.stringValue ?? "") else { return mount }
                    var mount = mount
                    mount.update(named: "VolumeOptions") { $0.set(true, named: "NoCopy") }
                    return mount
                }
                host.set(.array(unfilled), named: "Mounts")
            }
        }
        return json
    }
}
