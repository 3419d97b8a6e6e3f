extension HostOptions {
    /// `80/tcp`, `53/udp`, or `80` for TCP; nil for what is no port or of another protocol than tcp, udp and sctp.
    package static func containerPort(_ key: String) -> (port: UInt16, kind: String)? {
        let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let kind = parts.count == 2 ? parts[1].lowercased() : "tcp"
        guard let port = UInt16(parts[0]), port > 0, ["tcp", "udp", "sctp"].contains(kind) else { return nil }
        return (port, kind)
    }

    /// `8080` or `8000-8010`; nil for any port (an empty text, or 0) and for what an engine would refuse.
    package static func portRange(_ text: String) -> ClosedRange<UInt16>? {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { UInt16($0) }
        guard let first = parts[0], first > 0 else { return nil }
        guard parts.count == 2 else { return first...first }
        guard let last = parts[1], last >= first else { return nil }
        return first...last
    }
}

extension CreateRequest {
    package var publishesPorts: Bool { host.publishAllPorts || !host.publishedPorts.isEmpty }
}

extension JSON {
    /// A create request's body for an engine that shall listen for none of its ports. What is exposed stays exposed.
    package func withoutPublishedPorts() -> JSON {
        let names = ["PortBindings", "PublishAllPorts"]
        var result = self
        var exposed = value(named: "ExposedPorts") ?? .null
        for place in [self, value(named: "HostConfig") ?? .null] {
            // Docker exposes what is published.
            for key in place.value(named: "PortBindings")?.objectValue?.keys ?? [] where exposed[key] == nil {
                exposed[key] = [:]
            }
        }
        if !exposed.isNull { result.set(exposed, named: "ExposedPorts") }
        for name in names { result.remove(named: name) }
        guard var inner = value(named: "HostConfig"), !inner.isNull else { return result }
        for name in names { inner.remove(named: name) }
        result.set(inner, named: "HostConfig")
        return result
    }
}

extension HostOptions.PublishedPort {
    package var containerKey: (port: UInt16, kind: String)? { HostOptions.containerPort(containerPort) }

    /// Whether a front door can listen for it in the engine's place. What is malformed is the engine's to refuse.
    package var canBeForwarded: Bool {
        guard let key = containerKey, key.kind != "sctp" else { return false }
        return ["", "0"].contains(hostPort) || HostOptions.portRange(hostPort) != nil
    }
}
