internal import DockerAPI

/// A port of a container elsewhere for which this device listens, as `-p` asked for it.
package struct PublishedPort: Sendable, Hashable {
    /// A socket that listens for it.
    package struct Binding: Sendable, Hashable {
        package var address: String
        package var port: UInt16
    }

    package var containerPort: UInt16
    package var isUDP: Bool
    /// As asked for; empty for every address.
    package var hostAddress: String
    /// As asked for: a number, a range, or empty for any.
    package var hostPorts: String
    /// Whether it is published because all exposed ports are.
    package var isByExposure = false
    /// Where this device listens, or listened last.
    package var bindings: [Binding] = []

    package init(containerPort: UInt16, isUDP: Bool, hostAddress: String = "", hostPorts: String = "") {
        self.containerPort = containerPort
        self.isUDP = isUDP
        self.hostAddress = hostAddress
        self.hostPorts = hostPorts
    }

    /// `80/tcp`.
    package var key: String { "\(containerPort)/\(isUDP ? "udp" : "tcp")" }

    /// The ports it may have on this device; 0 stands for any that is free.
    var candidates: ClosedRange<UInt16> { HostOptions.portRange(hostPorts) ?? 0...0 }

    var addresses: [String] { hostAddress.isEmpty ? ["0.0.0.0", "::"] : [hostAddress] }
}

extension PublishedPort {
    /// What a create request publishes by name; `-P`'s are known once the container is there.
    init(_ asked: HostOptions.PublishedPort) {
        let (number, kind) = asked.containerKey ?? (0, "tcp")
        self.init(containerPort: number, isUDP: kind == "udp", hostAddress: asked.hostIP, hostPorts: asked.hostPort)
    }

    /// One exposed port, `80/tcp`, that `-P` publishes anywhere; nil for what is no TCP or UDP port.
    init?(exposed key: String) {
        guard let (number, kind) = HostOptions.containerPort(key), kind != "sctp" else { return nil }
        self.init(containerPort: number, isUDP: kind == "udp")
        isByExposure = true
    }

    var json: JSON {
        [
            "port": .int(containerPort), "udp": .bool(isUDP), "address": .string(hostAddress),
            "ports": .string(hostPorts), "exposed": .bool(isByExposure),
            "bound": .array(bindings.map { ["address": .string($0.address), "port": .int($0.port)] }),
        ]
    }

    init?(json: JSON) {
        guard let port = json["port"]?.intValue.flatMap({ UInt16(exactly: $0) }) else { return nil }
        self.init(
            containerPort: port, isUDP: json["udp"]?.boolValue ?? false,
            hostAddress: json["address"]?.stringValue ?? "", hostPorts: json["ports"]?.stringValue ?? "")
        isByExposure = json["exposed"]?.boolValue ?? false
        bindings = (json["bound"]?.arrayValue ?? []).compactMap { bound in
            guard let address = bound["address"]?.stringValue,
                let port = bound["port"]?.intValue.flatMap({ UInt16(exactly: $0) })
            else { return nil }
            return Binding(address: address, port: port)
        }
    }
}
