import DockerAPI
package import Fleet

/// Under what a body is sanitised: the node's policy, and which other containers the caller may refer to.
package struct CreateProfile: Sendable {
    package var policy: GuardPolicy
    /// The node that admits or refuses, for messages.
    package var node: NodeID
    /// References (`container:REF`, `--volumes-from REF`) that are the caller's own, with the full id each stands for.
    package var ownContainers: [String: String]
    /// The same references with each container's name here: a network's own name service knows no full ids.
    package var ownNames: [String: String] = [:]
    /// Networks of the caller's own, by the id or name it uses: the name of each on this engine.
    package var ownNetworks: [String: String] = [:]
    /// Volumes of the caller's own, by its name for them: the name of each on this engine.
    package var ownVolumes: [String: String] = [:]
    /// This node's own addresses, which no network made for others may cover.
    var ownAddresses: [Address] = []
    /// Where the caller's own paths are mirrored; nil where they are not.
    package var mirrors: Mirrors?
    /// Those of the caller's paths that are files.
    package var files: Set<String> = []

    /// The gate of exclusive work; nil for all other.
    package var gate: String?

    /// Whether the engine is Podman, whose owner's `podman auto-update` heeds a label of the container's, or of its image.
    package var isPodman = false

    package init(policy: GuardPolicy, node: NodeID, ownContainers: [String: String] = [:]) {
        self.policy = policy
        self.node = node
        self.ownContainers = ownContainers
    }

    /// 403 with the field, why, and what to do.
    /// - Parameter setting: the node's setting that would admit it, if one would.
    func refusal(_ path: String, _ why: String, setting: String? = nil) -> DockerFailure {
        let owner = setting.map { ", or ask the owner of \(node) to set \($0)" } ?? ""
        return DockerFailure(
            status: 403,
            message: "lighter: node \(node) does not admit \(path): \(why); "
                + "keep the container on your device with the label lighter.policy=local\(owner)")
    }

    /// 400: the body is not what Docker's API describes.
    func malformed(_ path: String, _ what: String) -> DockerFailure {
        DockerFailure(status: 400, message: "lighter: invalid request body: \(path) \(what)")
    }
}
