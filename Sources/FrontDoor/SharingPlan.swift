internal import DockerAPI
internal import Fleet

/// What a container shares with others of this device, and where that makes it run.
struct SharingPlan: Sendable {
    /// A user-defined network of the device's engine.
    struct Network: Sendable {
        var id: String
        var name: String
        /// As the engine describes it.
        var shown: JSON
        /// The names by which the create refers to it.
        var references: [String]
    }

    var networks: [Network] = []
    /// Named volumes that may go with it, or are elsewhere already.
    var volumes: [String] = []
    /// Full ids of the containers elsewhere that it refers to, by reference.
    var containers: [String: String] = [:]

    /// Ties that do not bind it to its device.
    var loosened: Set<String> = []
    /// Where it has to be, with the reasons: there alone is what it uses.
    var needs: [(node: NodeID, reason: String)] = []
    /// Where it belongs, with the reason: there are those that it talks to.
    var company: (node: NodeID, reason: String)?
    /// What is held while its place is decided, so that two creates at once do not settle in two places.
    var keys: Set<String> = []

    static func volumeIsThere(_ name: String) -> String { "volume \(name) is there" }

    func ties(_ ties: [String]) -> [String] { ties.filter { !loosened.contains($0) } }

    /// Whether it would be the first of those that share something to be given a place.
    var isUnsettled: Bool { needs.isEmpty && company == nil && !keys.isEmpty }

    func drawsAway(from node: NodeID) -> Bool {
        needs.contains { $0.node != node } || company.map { $0.node != node } ?? false
    }

    /// Sets where a workload has to run, or belongs.
    /// - Parameter own: What its own labels ask for: they may part it from its company, not from what it needs.
    /// - Throws: `DockerFailure` 409 when it needs what is on several nodes, or on another than it names.
    func draw(_ request: inout WorkloadRequest, _ own: PolicyOverrides) throws(DockerFailure) {
        if let needed = try neededNode() {
            if let target = own.target, target != needed.node {
                throw DockerFailure(
                    status: 409,
                    message: "lighter: lighter.target asks for node \(target), but \(needed.reason) (\(needed.node)); "
                        + "leave the label out")
            }
            request.policy.target = nil
            request.affinity = needed
        } else if let company, !Self.parts(own, company.node, request.origin),
            request.ties.isEmpty || company.node == request.origin
        {
            request.policy.target = nil
            request.affinity = Affinity(node: company.node, reason: company.reason)
        }
    }

    /// Whether a container's own labels put it elsewhere than where its company is.
    private static func parts(_ own: PolicyOverrides, _ company: NodeID, _ origin: NodeID) -> Bool {
        if own.target != nil { return true }
        return switch own.kind {
        case .local: company != origin
        case .remote: company == origin
        case .threshold, .completion, nil: false
        }
    }

    /// What its user has to know when it runs at that node.
    func warnings(at node: NodeID) -> [String] {
        guard let company, company.node != node, !networks.isEmpty else { return [] }
        return ["lighter: runs on \(node), but \(company.reason) (\(company.node)): they do not reach one another"]
    }

    /// The one node that its needs name.
    /// - Throws: `DockerFailure` 409 when they name several.
    private func neededNode() throws(DockerFailure) -> Affinity? {
        guard let first = needs.first else { return nil }
        if let other = needs.first(where: { $0.node != first.node }) {
            throw DockerFailure(
                status: 409,
                message: "lighter: no node can run it: \(first.reason) (\(first.node)), but \(other.reason) "
                    + "(\(other.node)); move one of them, or use only what is on one node")
        }
        return Affinity(node: first.node, reason: first.reason)
    }
}
