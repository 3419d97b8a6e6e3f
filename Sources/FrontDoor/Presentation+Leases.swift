internal import DockerAPI
internal import Fleet

/// A container that may be given another node, without what that takes.
extension Presentation {
    /// Applies to an inspection and to an element of a list.
    func leased(_ container: JSON, _ route: Route) -> JSON {
        guard route.loss.isExclusive || !route.note.isEmpty else { return container }
        var container = container
        let isGate: (JSON) -> Bool = { mount in
            (mount["Destination"] ?? mount["Target"])?.stringValue == CreateRequest.gateTarget
        }
        if let mounts = container["Mounts"]?.arrayValue { container["Mounts"] = .array(mounts.filter { !isGate($0) }) }
        container.update(named: "HostConfig") { host in
            guard let mounts = host["Mounts"]?.arrayValue else { return }
            let rest = mounts.filter { !isGate($0) }
            host["Mounts"] = rest.isEmpty ? nil : .array(rest)
        }
        let attempts = JSON.string("\(route.attempts)")
        if container["Labels"]?.objectValue != nil {
            container.update(named: "Labels") { Self.label(&$0, attempts, route) }
        }
        if container["Config"]?["Labels"]?.objectValue != nil {
            container.update(named: "Config") { $0.update(named: "Labels") { Self.label(&$0, attempts, route) } }
        }
        if !route.note.isEmpty, container["State"]?.objectValue != nil {
            container.update(named: "State") { state in
                if state["Error"]?.stringValue?.isEmpty ?? true { state["Error"] = .string(route.note) }
            }
        }
        return container
    }

    private static func label(_ labels: inout JSON, _ attempts: JSON, _ route: Route) {
        labels[CreateRequest.exclusiveLabel] = JSON?.none
        if route.attempts > 1 { labels["io.lighter.attempt"] = attempts }
        if !route.note.isEmpty { labels["io.lighter.note"] = .string(route.note) }
    }
}
