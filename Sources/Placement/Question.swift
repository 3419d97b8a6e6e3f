import Fleet

/// One placement's question: what was asked, with what the filters and scores need to know besides the node.
///
/// A class, though it never changes: as a value it would be copied field by field for every node of the fleet.
final class Question: Sendable {
    let request: WorkloadRequest
    /// The origin as the snapshot has it; ready and unmeasured where it has not.
    let origin: Node
    let refused: [NodeID: String]
    /// Nodes that have the image already.
    let holders: Set<NodeID>
    let work: WorkEstimates.Work?
    /// What another node must run: as asked for; where nothing was, the origin's if the image comes from there.
    let platform: Platform
    /// Seconds since 1970.
    let now: Double

    init(
        _ request: WorkloadRequest, snapshot: FleetSnapshot, refused: [NodeID: String], estimates: WorkEstimates,
        now: Double
    ) {
        self.request = request
        self.now = now
        origin = snapshot[request.origin] ?? Node(id: request.origin, tenant: request.tenant)
        self.refused = refused
        holders = estimates.holders(of: request.imageID)
        work = estimates.work(request.workKey)
        let wanted = request.platform.isEmpty && !request.imageID.isEmpty ? origin.platform : request.platform
        platform = Platform(wanted)
    }

    /// How often a node was lost lately; the origin is there, as it is asking.
    func losses(of node: Node) -> Double { isOrigin(node) ? 0 : node.losses?.count(at: now) ?? 0 }

    func isOrigin(_ node: Node) -> Bool { node.id == request.origin }

    /// Bytes that must travel before the container can be made on `node`.
    ///
    /// The origin needs none; where not even the origin has the image, all pull the same bytes, and nobody's count.
    func missingBytes(on node: Node) -> ByteCount {
        isOrigin(node) || request.imageID.isEmpty || holders.contains(node.id) ? .zero : request.imageSize
    }

    /// Bytes of bind mounts that must travel before the container can start on `node`; differences with a mirror do not count.
    func mountBytes(on node: Node) -> ByteCount {
        isOrigin(node) || request.mirroredAt.contains(node.id) ? .zero : request.mountSize
    }
}
