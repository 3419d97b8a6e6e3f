internal import DockerAPI

/// A container elsewhere with the ports of this device that lead to it.
extension Presentation {
    /// One element of `GET /containers/json`: `Ports` with this device's.
    func listed(_ container: JSON, publishing ports: [PublishedPort]) -> JSON {
        guard !ports.isEmpty else { return container }
        let published = Set(ports.map(\.key))
        // What the target's engine only exposes stays.
        var shown = (container["Ports"]?.arrayValue ?? []).filter { port in
            guard let number = port["PrivatePort"]?.intValue, let kind = port["Type"]?.stringValue else { return true }
            return !published.contains("\(number)/\(kind)")
        }
        for port in ports {
            for binding in port.bindings {
                shown.append([
                    "IP": .string(binding.address), "PrivatePort": .int(port.containerPort),
                    "PublicPort": .int(binding.port), "Type": .string(port.isUDP ? "udp" : "tcp"),
                ])
            }
        }
        var container = container
        container["Ports"] = .array(shown)
        return container
    }

    /// `GET /containers/ID/json`: what was asked for, and where it is listened now.
    func inspected(_ container: JSON, of route: Route, publishing ports: [PublishedPort]) -> JSON {
        guard route.publishes else { return container }
        var container = container
        var asked: JSON = [:]
        for port in route.ports where !port.isByExposure {
            let entry: JSON = ["HostIp": .string(port.hostAddress), "HostPort": .string(port.hostPorts)]
            asked[port.key] = .array((asked[port.key]?.arrayValue ?? []) + [entry])
        }
        container.update(named: "HostConfig") {
            $0["PortBindings"] = asked
            $0["PublishAllPorts"] = .bool(route.publishesAll)
        }
        var open: [String: [JSON]] = [:]
        for port in ports {
            open[port.key, default: []] += port.bindings.map {
                ["HostIp": .string($0.address), "HostPort": .string("\($0.port)")]
            }
        }
        container.update(named: "NetworkSettings") { settings in
            var shown = settings["Ports"] ?? [:]
            for (key, bindings) in open.sorted(by: { $0.key < $1.key }) { shown[key] = .array(bindings) }
            settings["Ports"] = shown
        }
        return container
    }

    /// Whether a listed container passes Docker's `publish` filter: `8080`, `8080/tcp` or `8000-8080/udp`, of this device's.
    static func publishes(_ container: JSON, _ wanted: String) -> Bool {
        let parts = wanted.split(separator: "/", maxSplits: 1)
        guard let first = parts.first, let range = HostOptions.portRange(String(first)) else { return false }
        let kind = parts.count == 2 ? parts[1].lowercased() : "tcp"
        return (container["Ports"]?.arrayValue ?? []).contains { port in
            guard let number = port["PublicPort"]?.intValue.flatMap({ UInt16(exactly: $0) }) else { return false }
            return port["Type"]?.stringValue == kind && range.contains(number)
        }
    }
}
