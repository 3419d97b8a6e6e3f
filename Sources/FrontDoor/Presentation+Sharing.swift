internal import DockerAPI
internal import Fleet

/// Networks and volumes of containers elsewhere, by the names and ids that they have on the device.
extension Presentation {
    /// One element of `GET /containers/json`, or a whole inspection: their form is the same in this.
    /// - Parameter network: the device's id of a network of the node's, by its id and its name on the device.
    func sharing(_ container: JSON, network: (_ id: String, _ name: String) -> String?) -> JSON {
        var container = container
        if let endpoints = container["NetworkSettings"]?["Networks"]?.objectValue?.members {
            let shown = endpoints.map { member in
                var value = member.value
                // Podman lists its own first network as `bridge`, as Docker does, but a container's as `podman`.
                let key = member.key == "podman" ? "bridge" : name(member.key)
                if let id = value["NetworkID"]?.stringValue, let own = network(id, key) {
                    value["NetworkID"] = .string(own)
                }
                if let links = value["Links"]?.arrayValue { value["Links"] = .array(links.map(link)) }
                return JSONObject.Member(key: key, value: value)
            }
            container.update(named: "NetworkSettings") { $0["Networks"] = .object(JSONObject(shown)) }
        }
        if let mounts = container["Mounts"]?.arrayValue {
            container["Mounts"] = .array(mounts.map(mount))
        }
        guard let host = container["HostConfig"] else { return container }
        container["HostConfig"] = hostOptions(host)
        return container
    }

    /// `db.edge1:store`, or `/db.edge1:/web.edge1/store` of the engine's own bridge.
    private func link(_ link: JSON) -> JSON {
        guard let text = link.stringValue else { return link }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { part in
            part.split(separator: "/", omittingEmptySubsequences: false).map { name(String($0)) }.joined(separator: "/")
        }
        return .string(parts.joined(separator: ":"))
    }

    private func mount(_ mount: JSON) -> JSON {
        guard mount["Type"]?.stringValue == "volume", let name = mount["Name"]?.stringValue else { return mount }
        var mount = mount
        mount["Name"] = .string(self.name(name))
        return mount
    }

    private func hostOptions(_ host: JSON) -> JSON {
        var host = host
        if let mode = host["NetworkMode"]?.stringValue { host["NetworkMode"] = .string(name(mode)) }
        if let links = host["Links"]?.arrayValue { host["Links"] = .array(links.map(link)) }
        if let binds = host["Binds"]?.arrayValue {
            host["Binds"] = .array(
                binds.map { bind in
                    var parts = (bind.stringValue ?? "").split(separator: ":", omittingEmptySubsequences: false)
                        .map(String.init)
                    guard parts.count > 1, parts[0].utf8.first != UInt8(ascii: "/") else { return bind }
                    parts[0] = name(parts[0])
                    return .string(parts.joined(separator: ":"))
                })
        }
        if let mounts = host["Mounts"]?.arrayValue {
            host["Mounts"] = .array(
                mounts.map { mount in
                    guard mount["Type"]?.stringValue == "volume", let source = mount["Source"]?.stringValue else {
                        return mount
                    }
                    var mount = mount
                    mount["Source"] = .string(name(source))
                    return mount
                })
        }
        return host
    }

    /// A volume at a node, as its own device's engine would show it; `Status` says where it is.
    func volume(_ volume: JSON, at node: NodeID) -> JSON {
        var shown = volume
        if let name = volume["Name"]?.stringValue { shown["Name"] = .string(self.name(name)) }
        let labels = (volume["Labels"]?.objectValue?.members ?? []).filter { !$0.key.hasPrefix("io.lighter.") }
        shown["Labels"] = labels.isEmpty ? .null : .object(JSONObject(labels))
        shown["Status"] = ["lighter.node": .string(node.name)]
        return shown
    }
}

extension CreateRequest {
    private static let leftOutIfEmpty = [
        "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "BlkioWeightDevice",
        "PortBindings",
    ]

    /// HostConfig's options that a guard bounds, or leaves out where they are empty, each as JSON, for `Presentation.asked(_:of:)`.
    var limitsOfOtherNodes: [String: String] {
        let host = json.value(named: "HostConfig")
        var asked: [String: String] = [:]
        let pids = host?.value(named: "PidsLimit") ?? .null
        // An engine shows no limit as none, however it was asked for.
        if [.null, .number("0")].contains(pids) { asked["PidsLimit"] = "null" }
        for name in Self.leftOutIfEmpty {
            if let value = host?.value(named: name), ["[]", "{}"].contains(value.text) { asked[name] = value.text }
        }
        if let tmpfs = host?.value(named: "Tmpfs"), tmpfs.objectValue?.isEmpty == false { asked["Tmpfs"] = tmpfs.text }
        return asked
    }
}

extension Presentation {
    /// An inspection that shows what was asked for where the guard set a bound.
    func asked(_ container: JSON, of route: Route) -> JSON {
        guard !route.asked.isEmpty, container["HostConfig"] != nil else { return container }
        var container = container
        container.update(named: "HostConfig") { host in
            for (name, text) in route.asked.sorted(by: { $0.key < $1.key }) {
                guard host[name] != nil, let value = try? JSON.parse(Array(text.utf8)) else { continue }
                host[name] = value
            }
        }
        return container
    }
}
