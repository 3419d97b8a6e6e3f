internal import DockerAPI
package import Fleet

/// Where a container of this device runs when it does not run here, and what its users were told of it.
package struct Route: Sendable, Hashable {
    /// The id that the target's engine gave it; its id for life, as users see it.
    package var containerID: String
    /// As the user named it, without a slash.
    package var name: String
    package var workload: WorkloadID
    package var epoch: UInt64
    package var target: NodeID
    package var ticket: [UInt8]
    /// Seconds since 1970 after which the ticket is worth renewing.
    package var ticketRenewal: Double
    /// As asked for: `busybox`.
    package var image: String
    /// The config digest it was pinned to; empty when only the target knows.
    package var imageID: String
    package var hasTerminal: Bool
    package var removesItself: Bool
    package var createdAt: Double
    /// Ports of this device that lead to it.
    package var ports: [PublishedPort] = []
    /// Whether all ports that its image exposes are published, too.
    package var publishesAll = false

    /// Paths of this device that are mirrored for it.
    package var mounts: [MirroredMount] = []
    /// This device's ids of the user-defined networks that it is in.
    package var networks: [String] = []
    /// The volumes that it uses, by name.
    package var volumes: [String] = []
    /// Those among them that have no name of their own, and go with the last container that uses them if it is removed so.
    package var anonymousVolumes: [String] = []
    /// The labels and the command that it was created with, for lists that cannot ask its node.
    package var labels: [String: String] = [:]
    package var command = ""

    /// Options for which a guard sets bounds where none were asked for, as they were asked for.
    package var asked: [String: String] = [:]

    /// What becomes of it when its node is lost.
    package var loss = LossPolicy()
    /// The node that it was lost with, to which it goes back when that is well again; nil for none.
    package var original: NodeID?
    /// How often it has been begun: once, and once more for each node that was lost.
    package var attempts = 1
    /// What its users should know of how it came where it is, or why it waits; empty where there is nothing to say.
    package var note = ""

    /// Whether something has to be ready on this device before it starts.
    package var wantsPreparing: Bool { publishes || !mounts.isEmpty }

    package var publishes: Bool { publishesAll || !ports.isEmpty }

    /// - Parameter others: what its user did not name; those of them without a name of their own may go with it.
    mutating func setVolumes(named: [String] = [], others: [String]) {
        volumes = named + others
        anonymousVolumes = others.filter(VolumeName.isAnonymous)
    }

    package init(
        containerID: String, name: String, workload: WorkloadID, epoch: UInt64, target: NodeID, ticket: [UInt8],
        ticketRenewal: Double, image: String, imageID: String, hasTerminal: Bool, removesItself: Bool,
        createdAt: Double
    ) {
        self.containerID = containerID
        self.name = name
        self.workload = workload
        self.epoch = epoch
        self.target = target
        self.ticket = ticket
        self.ticketRenewal = ticketRenewal
        self.image = image
        self.imageID = imageID
        self.hasTerminal = hasTerminal
        self.removesItself = removesItself
        self.createdAt = createdAt
    }
}
