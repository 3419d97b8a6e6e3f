import DockerAPI

/// HostConfig's and NetworkingConfig's ways to other machines and containers.
extension CreateSanitizer {
    static let network: [Field] = [
        .mappedText("NetworkMode") { (mode, path, profile) throws(DockerFailure) in
            if let own = profile.ownNetworks[mode] { return own }
            if isPlainNetwork(mode) || profile.policy.networks.contains(mode) { return mode }
            guard mode == "host" || containerReference(mode) != nil else {
                throw profile.refusal("\(path)=\(mode)", otherNetwork, setting: "networks")
            }
            return try shared(mode, [], path, profile, "a network namespace of its own")
        },
        .refused("PortBindings", unpublished), .refused("PublishAllPorts", unpublished),
        links("Links"),
        .texts("Dns"), .texts("DnsOptions"), .texts("DnsSearch"), .texts("ExtraHosts"),
    ]

    static let networking = FieldTable([
        Field(name: "EndpointsConfig") { (value, path, profile) throws(DockerFailure) in
            var pairs: [(String, JSON)] = []
            for (name, settings) in try value.entries(path, profile) {
                let here = "\(path)[\(name)]"
                if let own = profile.ownNetworks[name] {
                    pairs.append((own, .object(try ownEndpoint.rebuild(settings, at: here, in: profile))))
                    continue
                }
                guard isPlainNetwork(name) || profile.policy.networks.contains(name) else {
                    throw profile.refusal(here, otherNetwork, setting: "networks")
                }
                pairs.append((name, .object(try endpoint.rebuild(settings, at: here, in: profile))))
            }
            return .object(pairs)
        }
    ])

    static let endpoint = FieldTable(
        [.refused("IPAMConfig", ownAddresses), .refused("MacAddress", ownAddresses)] + everyEndpoint)

    /// In a network of the caller's own, addresses are its own to give.
    static let ownEndpoint = FieldTable(
        [
            .structure(
                "IPAMConfig", FieldTable([.text("IPv4Address"), .text("IPv6Address"), .texts("LinkLocalIPs")])),
            .text("MacAddress"),
        ] + everyEndpoint)

    private static let everyEndpoint: [Field] = [
        .texts("Aliases"), links("Links"), .refused("DriverOpts", "they steer the node's network driver"),
        .integer("GwPriority"),
        // What the engine answers in an inspect, and ignores in a create.
        .dropped("NetworkID"), .dropped("EndpointID"), .dropped("Gateway"), .dropped("IPAddress"),
        .dropped("IPPrefixLen"), .dropped("IPv6Gateway"), .dropped("GlobalIPv6Address"),
        .dropped("GlobalIPv6PrefixLen"), .dropped("DNSNames"),
    ]

    /// Links to the caller's own containers, by the name that each has here.
    private static func links(_ name: String) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if value.isZero { return nil }
            guard case .array(let items) = value else { throw profile.malformed(path, "must be a list of strings") }
            var mapped: [JSON] = []
            for item in items {
                let (reference, alias) = link(try item.text(path, profile))
                guard let name = profile.ownNames[reference] else {
                    throw DockerFailure(
                        status: 404,
                        message: "could not get container for \(reference): No such container: \(reference)")
                }
                mapped.append(.string("\(name):\(alias)"))
            }
            return .array(mapped)
        }
    }

    static func isPlainNetwork(_ name: String) -> Bool { ["", "default", "bridge", "none"].contains(name) }

    private static let otherNetwork = "networks of this node's engine may be somebody else's"
    private static let unpublished = "ports of this node are not published for other devices"
}
