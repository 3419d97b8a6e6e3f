import Fleet

@testable import Placement

/// A small fleet and one request, to be bent by each test.
struct Fixture {
    var edge: Node
    var cloud1: Node
    var cloud2: Node
    var others: [Node] = []
    var request: WorkloadRequest
    var fleetReachable = true
    var refused: [NodeID: String] = [:]
    var estimates = WorkEstimates()
    var memory = ThresholdMemory()
    var policySource = ""

    init(_ kind: Policy.Kind) throws {
        edge = try Self.node("edge", cpus: 1, acceptsWork: false)
        cloud1 = try Self.node("cloud1", cpus: 8, tags: ["cloud", "gpu"])
        cloud2 = try Self.node("cloud2", cpus: 8, tags: ["cloud"])
        request = WorkloadRequest(
            id: try WorkloadID("000102030405060708090a0b0c0d0e0f"), tenant: .main, origin: edge.id, image: "busybox",
            imageID: "sha256:1", imageSize: .mebibytes(4), workKey: "work", policy: Policy(kind: kind))
    }

    static func node(_ name: String, cpus: Double, tags: [String] = [], acceptsWork: Bool = true) throws -> Node {
        var measures = Measures()
        measures.cpu = 0.1
        measures.memory = 0.2
        measures.diskFree = .gibibytes(50)
        measures.gatewayRTT = 0.01
        measures.bandwidth = 10e6
        return Node(
            id: try NodeID(name), tags: tags, capacity: Resources(cpus: cpus, memory: .gibibytes(8)),
            measures: measures,
            acceptsWork: acceptsWork)
    }

    var snapshot: FleetSnapshot { FleetSnapshot(revision: 7, nodes: [edge, cloud1, cloud2] + others) }

    mutating func decide() -> Decision {
        Placement.decide(
            request, snapshot: snapshot, now: 1000, fleetReachable: fleetReachable, refused: refused,
            estimates: estimates, memory: &memory, policySource: policySource)
    }

    /// The work is known: so many seconds of a reference core.
    mutating func learn(_ seconds: Double) { estimates.learn(request.workKey, coreSeconds: seconds) }
}

extension Decision {
    func candidate(_ node: String) -> Candidate? { candidates.first { $0.node.name == node } }
    func term(_ name: String, of node: String) -> Double? { candidate(node)?.terms.first { $0.name == name }?.value }
}
