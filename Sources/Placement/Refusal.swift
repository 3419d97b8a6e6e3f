package import Fleet

/// Why a node cannot have a workload; its text is made only for the few that are shown.
enum Refusal: Sendable, Hashable {
    case state(NodeState)
    case takesNoWork
    case drained(NodeID)
    case otherTenant(TenantID)
    case notTheTarget(NodeID)
    case refusedJustNow(String)
    case platform(has: String, wants: String)
    case lacksTags([String])
    case tied([String], to: NodeID)
    case cpus(free: Double, wants: Double)
    case memory(free: ByteCount, wants: ByteCount)
    case disk(free: ByteCount, wants: ByteCount)
    case unknownNode
    case gatewayAway

    /// A clause that a person can act on, without the node's name.
    var reason: String {
        switch self {
        case .state(.engineDown): "its engine does not answer: start it"
        case .state(.suspect): "it has missed heartbeats: look at its network"
        case .state(.unreachable): "it cannot be reached: look at its power, network and agent"
        case .state(.ready): "it is not ready"
        case .takesNoWork: "it takes no work of others: it was set to only send work away"
        case .drained(let node): "it is drained and takes no new work: `lighter nodes resume \(node)` ends that"
        case .otherTenant(let tenant): "it belongs to tenant \(tenant)"
        case .notTheTarget(let target): "only \(target) is asked for"
        case .refusedJustNow(let reason): "it refused just now: \(reason)"
        case .platform(let has, let wants): "its platform is \(has), not \(wants)"
        case .lacksTags(let tags): "it lacks the tag\(tags.count == 1 ? "" : "s") \(tags.joined(separator: ", "))"
        case .tied(let ties, let origin): "the container uses \(Text.list(ties)), which only \(origin) has"
        case .cpus(let free, let wants): "\(Text.number(free)) cores are free, \(Text.number(wants)) are asked for"
        case .memory(let free, let wants): "\(free) of memory is free, \(wants) is asked for"
        case .disk(let free, let wants): "\(free) of disk is free, the image needs \(wants)"
        case .unknownNode: "no node of this name is known"
        case .gatewayAway: "the gateway cannot be reached, so nothing can be leased there"
        }
    }
}

extension Decision {
    /// Takes in why nodes turned the workload down after it was made.
    package mutating func note(refused: [NodeID: String]) {
        for (node, reason) in refused.sorted(by: { $0.key < $1.key }) {
            let refusal = Refusal.refusedJustNow(reason).reason
            if let index = candidates.firstIndex(where: { $0.node == node }) {
                candidates[index].score = nil
                candidates[index].refusals.append(refusal)
            } else {
                candidates.append(Candidate(node: node, refusals: [refusal]))
            }
        }
    }
}
