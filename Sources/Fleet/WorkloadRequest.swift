/// What placement needs to know of a container that was asked for.
package struct WorkloadRequest: Sendable, Hashable, Codable {
    package var id: WorkloadID
    package var tenant: TenantID
    package var origin: NodeID
    /// The name that the user gave, without a slash; empty when the engine shall draw one.
    package var name: String
    /// As in the create request: `busybox`, `registry:5000/app:v2`, `sha256:…`.
    package var image: String
    /// The image's config digest, when the origin's engine has it.
    package var imageID: String
    /// The image's size, zero when unknown.
    package var imageSize: ByteCount
    /// What its bind mounts hold, as far as it has to travel to a node that has no mirror of them.
    package var mountSize: ByteCount = .zero
    /// Nodes that have a mirror of each of its bind mounts: only differences travel to them.
    package var mirroredAt: Set<NodeID> = []
    /// A short fingerprint of image and command, under which durations are learned.
    package var workKey: String
    /// `os/architecture` that was asked for; empty for any.
    package var platform: String
    package var resources: Resources
    package var policy: Policy
    /// Who set the policy, as a person reads it; empty where it is the default.
    package var policySource = ""
    /// Why the policy names its target, as a person reads it; empty where the label does.
    package var targetReason = ""
    /// What the container uses that only its origin has: each is a reason to stay, as a person reads it
    /// (`bind mount /data`, `published port 80/tcp`, `network mynet`).
    package var ties: [String]
    /// Where it must run, because of what it shares with other containers; nil where it shares nothing.
    package var affinity: Affinity?

    package init(
        id: WorkloadID, tenant: TenantID, origin: NodeID, name: String = "", image: String, imageID: String = "",
        imageSize: ByteCount = .zero, workKey: String = "", platform: String = "", resources: Resources = .none,
        policy: Policy = Policy(), ties: [String] = [], affinity: Affinity? = nil
    ) {
        self.id = id
        self.tenant = tenant
        self.origin = origin
        self.name = name
        self.image = image
        self.imageID = imageID
        self.imageSize = imageSize
        self.workKey = workKey
        self.platform = platform
        self.resources = resources
        self.policy = policy
        self.ties = ties
        self.affinity = affinity
    }
}

/// The node where what a container shares with others is: a volume, a network, another container's namespace.
package struct Affinity: Sendable, Hashable, Codable {
    package var node: NodeID
    /// As a person reads it: `volume data is there`.
    package var reason: String

    package init(node: NodeID, reason: String) {
        self.node = node
        self.reason = reason
    }
}
