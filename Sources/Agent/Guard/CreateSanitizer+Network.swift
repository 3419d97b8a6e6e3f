import DockerAPI

/// HostConfig's and NetworkingConfig's ways to other machines and containers.
extension CreateSanitizer {
    static let network: [Field] = [
        .mappedText("NetworkMode") { (mode, path, profile) throws(DockerFailure) in
            if isPlainNetwork(mode) || profile.policy.networks.contains(mode) { return mode }
            guard mode == "host" || containerReference(mode) != nil else {
                throw profile.refusal("\(path)=\(mode)", otherNetwork, setting: "networks")
            }
            return try shared(mode, [], path, profile, "a network namespace of its own")
        },
        .refused("PortBindings", unpublished), .refused("PublishAllPorts", unpublished),
        .refused("Links", "links reach into other containers"),
        .texts("Dns"), .texts("DnsOptions"), .texts("DnsSearch"), .texts("ExtraHosts"),
    ]

    static let networking = FieldTable([
        Field(name: "EndpointsConfig") { (value, path, profile) throws(DockerFailure) in
            var pairs: [(String, JSON)] = []
            for (name, settings) in try value.entries(path, profile) {
                let here = "\(path)[\(name)]"
                guard isPlainNetwork(name) || profile.policy.networks.contains(name) else {
                    throw profile.refusal(here, otherNetwork, setting: "networks")
                }
                pairs.append((name, .object(try endpoint.rebuild(settings, at: here, in: profile))))
            }
            return .object(pairs)
        }
    ])

    private static let endpoint = FieldTable([
        .texts("Aliases"), .refused("IPAMConfig", ownAddresses), .refused("Links", "links reach into other containers"),
        .refused("MacAddress", ownAddresses), .refused("DriverOpts", "they steer the node's network driver"),
        .integer("GwPriority"),
        // What the engine answers in an inspect, and ignores in a create.
        .dropped("NetworkID"), .dropped("EndpointID"), .dropped("Gateway"), .dropped("IPAddress"),
        .dropped("IPPrefixLen"), .dropped("IPv6Gateway"), .dropped("GlobalIPv6Address"),
        .dropped("GlobalIPv6PrefixLen"), .dropped("DNSNames"),
    ])

    private static func isPlainNetwork(_ name: String) -> Bool { ["", "default", "bridge", "none"].contains(name) }

    private static let otherNetwork = "networks of this node's engine may be somebody else's"
    private static let unpublished = "ports of this node are not published for other devices"
}
