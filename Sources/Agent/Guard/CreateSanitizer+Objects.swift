import DockerAPI

/// The bodies of `POST /networks/create`, `/networks/ID/connect` and `/volumes/create`.
extension CreateSanitizer {
    static let networkObject = FieldTable([
        .text("Name"), .dropped("CheckDuplicate"),
        .text("Driver") { (driver, path, profile) throws(DockerFailure) in
            guard ["", "default", "bridge"].contains(driver) else {
                throw profile.refusal("\(path)=\(driver)", "only bridge networks are made for other nodes")
            }
        },
        .text("Scope") { (scope, path, profile) throws(DockerFailure) in
            guard ["", "local"].contains(scope) else {
                throw profile.refusal("\(path)=\(scope)", "the network would be the node's swarm's")
            }
        },
        .flag("Internal"), .flag("Attachable"), .flag("EnableIPv6"), .flag("EnableIPv4"),
        .refused("Ingress", "the network would be the node's swarm's"),
        .refused("ConfigOnly", "networks are not made from configurations of this node's"),
        .refused("ConfigFrom", "networks are not made from configurations of this node's"),
        .structure(
            "IPAM",
            FieldTable([
                .text("Driver") { (driver, path, profile) throws(DockerFailure) in
                    guard ["", "default"].contains(driver) else {
                        throw profile.refusal("\(path)=\(driver)", "addresses are given out by the engine alone")
                    }
                },
                .refused("Options", "addresses are given out by the engine alone"),
                .structures(
                    "Config",
                    FieldTable([
                        subnet("Subnet"), subnet("IPRange"), .text("Gateway"), .map("AuxiliaryAddresses"),
                        .dropped("AuxAddress"),
                    ])),
            ])),
        .map("Options") { (option, value, path, profile) throws(DockerFailure) in
            guard networkOptions.contains(option) else {
                throw profile.refusal("\(path)=\(value)", "it steers the node's network driver")
            }
            return value
        },
        .map("Labels"),
    ])

    private static let networkOptions: Set<String> = [
        "com.docker.network.bridge.enable_icc", "com.docker.network.bridge.enable_ip_masquerade",
        "com.docker.network.driver.mtu",
    ]

    /// A subnet that is private and holds none of the node's own addresses: its bridge must not take over what the node reaches.
    private static func subnet(_ name: String) -> Field {
        .text(name) { (text, path, profile) throws(DockerFailure) in
            guard !text.isEmpty else { return }
            guard let prefix = AddressPrefix(text) else {
                throw profile.malformed(path, "must be a subnet such as 172.28.0.0/16, not \(text)")
            }
            guard prefix.isPrivate else {
                throw profile.refusal("\(path)=\(text)", "only private ranges are given to networks of other nodes")
            }
            if let taken = profile.ownAddresses.first(where: prefix.contains) {
                throw profile.refusal("\(path)=\(text)", "the node's own address \(taken) is in it")
            }
        }
    }

    static let volumeObject = FieldTable([
        .text("Name"),
        .text("Driver") { (driver, path, profile) throws(DockerFailure) in
            guard ["", "local"].contains(driver) else {
                throw profile.refusal("\(path)=\(driver)", "volume drivers act with the node's rights")
            }
        },
        .refused("DriverOpts", "a volume driver's options can name any path or device of the node"),
        .refused("ClusterVolumeSpec", "cluster volumes are not offloaded"), .map("Labels"),
    ])

    static let attachment = FieldTable([
        .text("Container"), .flag("Force"), .structure("EndpointConfig", ownEndpoint),
    ])

    static let plainAttachment = FieldTable([
        .text("Container"), .flag("Force"), .structure("EndpointConfig", endpoint),
    ])
}
