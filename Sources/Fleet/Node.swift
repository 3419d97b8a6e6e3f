/// A machine with an engine and an agent, as the fleet knows it.
package struct Node: Sendable, Hashable, Codable {
    package var id: NodeID
    package var tenant: TenantID
    package var state: NodeState
    /// Changes whenever the machine boots, so that a crash can be told from a cut.
    package var bootID: String
    /// Where other nodes may dial its agent, `host:port`, best first; empty when it can only be reached by relay.
    package var addresses: [String]
    /// Free words and `key=value` pairs that policies match.
    package var tags: [String]
    /// `os/architecture` as Docker spells it: `linux/amd64`.
    package var platform: String
    /// The engine's version; empty when the node has none.
    package var engineVersion: String
    package var engineAPIVersion: String
    /// Cores and memory that workloads may use.
    package var capacity: Resources
    /// What workloads with leases have reserved here.
    package var reserved: Resources
    package var measures: Measures
    /// The gateway's policy for what this node may do for others: false where it only sends work away.
    package var acceptsWork: Bool
    /// Since when an operator has it take no new work, in seconds since 1970; nil where it takes some. The gateway's to say.
    package var drainedSince: Double?
    /// While it is drained, services leave with all that they wrote. The gateway's to say.
    package var drainsWithState = false
    /// How often it was lost lately; nil for one that was not. The gateway's to say.
    package var losses: RecentLosses?
    /// What others find where it was, while it is lost; nil where nobody was asked. The gateway's to say.
    package var opinion: SecondOpinion?

    package init(
        id: NodeID, tenant: TenantID = .main, state: NodeState = .ready, bootID: String = "",
        addresses: [String] = [], tags: [String] = [], platform: String = "linux/amd64", engineVersion: String = "",
        engineAPIVersion: String = "", capacity: Resources = .none, reserved: Resources = .none,
        measures: Measures = Measures(), acceptsWork: Bool = true
    ) {
        self.id = id
        self.tenant = tenant
        self.state = state
        self.bootID = bootID
        self.addresses = addresses
        self.tags = tags
        self.platform = platform
        self.engineVersion = engineVersion
        self.engineAPIVersion = engineAPIVersion
        self.capacity = capacity
        self.reserved = reserved
        self.measures = measures
        self.acceptsWork = acceptsWork
    }
}

/// What the gateway believes of a node.
package enum NodeState: String, Sendable, Hashable, Codable, CaseIterable {
    /// Its heartbeats arrive and its engine answers.
    case ready
    /// Its heartbeats arrive, but its engine does not answer.
    case engineDown = "engine-down"
    /// Two heartbeats missed.
    case suspect
    /// Three missed, or its link is down.
    case unreachable
}

/// What a node measured of itself; every figure is of the node's own share (its cgroup) where it was told to measure one.
package struct Measures: Sendable, Hashable, Codable {
    /// Busy part of the node's cores, 0 to 1, smoothed over the sliding window.
    package var cpu: Double = 0
    /// Used part of the node's memory, 0 to 1.
    package var memory: Double = 0
    /// Free disk under the engine's data root.
    package var diskFree: ByteCount = .zero
    /// Part of the time in which some task waited for the CPU, 0 to 1 (PSI); nil where the kernel has no PSI.
    package var cpuPressure: Double?
    package var memoryPressure: Double?
    package var ioPressure: Double?
    package var runningContainers: Int = 0
    /// Round trip to the gateway, in seconds; 0 until measured.
    package var gatewayRTT: Double = 0
    /// What the link to the gateway has carried at best lately, in bytes per second; 0 until measured.
    package var bandwidth: Double = 0
    /// How fast one core runs, relative to a reference core of 1.0.
    package var coreSpeed: Double = 1

    package init() {}
}
