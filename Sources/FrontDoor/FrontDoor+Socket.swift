internal import DockerAPI
internal import NIOCore

/// `-v /var/run/docker.sock:/var/run/docker.sock`: programs in containers that speak to Docker speak to Lighter.
extension FrontDoor {
    /// A create's body with this socket in the place of the engine's: what the container starts is placed like all work of this
    /// device, and it sees and removes what runs elsewhere.
    func withOwnSocket(_ spec: CreateRequest, _ body: ByteBuffer) -> ByteBuffer {
        let engines = Set(["/var/run/docker.sock", "/run/docker.sock", configuration.enginePath ?? ""])
        let own = configuration.socketPath
        guard !engines.contains(own), spec.bindMounts.contains(where: { engines.contains($0.source) }) else {
            return body
        }
        var json = spec.json
        json.update(named: "HostConfig") { host in
            if let binds = host.value(named: "Binds")?.arrayValue {
                let mapped = binds.map { bind -> JSON in
                    let parts = (bind.stringValue ?? "").split(separator: ":", omittingEmptySubsequences: false)
                    guard parts.count > 1, engines.contains(String(parts[0]).cleanedPath) else { return bind }
                    return .string(([own] + parts.dropFirst().map(String.init)).joined(separator: ":"))
                }
                host.set(.array(mapped), named: "Binds")
            }
            if let mounts = host.value(named: "Mounts")?.arrayValue {
                let mapped = mounts.map { mount -> JSON in
                    guard mount.value(named: "Type")?.stringValue == "bind",
                        engines.contains(mount.value(named: "Source")?.stringValue?.cleanedPath ?? "")
                    else { return mount }
                    var mount = mount
                    mount.set(.string(own), named: "Source")
                    return mount
                }
                host.set(.array(mapped), named: "Mounts")
            }
        }
        return json.buffer
    }
}
