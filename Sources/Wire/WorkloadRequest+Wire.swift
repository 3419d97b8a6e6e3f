package import Fleet

extension Lighter_V1_WorkloadRequestMessage {
    package init(_ request: WorkloadRequest) {
        self.init()
        id = request.id.hex
        tenant = request.tenant.name
        origin = request.origin.name
        name = request.name
        image = request.image
        imageID = request.imageID
        imageSize = request.imageSize.bytes
        workKey = request.workKey
        platform = request.platform
        cpus = request.resources.cpus
        memory = request.resources.memory.bytes
        policy = Lighter_V1_PolicyMessage(request.policy)
        ties = request.ties
        mountSize = request.mountSize.bytes
        mirroredAt = request.mirroredAt.map(\.name).sorted()
        affinityNode = request.affinity?.node.name ?? ""
        affinityReason = request.affinity?.reason ?? ""
        policySource = request.policySource
        targetReason = request.targetReason
    }

    /// - Throws: `WireError.unknownWord` for a policy of a newer version, `.invalid` naming the field.
    package func domain() throws(WireError) -> WorkloadRequest {
        var request = WorkloadRequest(
            id: try WireField.workload(id, "workload.id"),
            tenant: try WireField.tenant(tenant, "workload.tenant"),
            origin: try WireField.node(origin, "workload.origin"),
            name: name, image: image, imageID: imageID,
            imageSize: try WireField.bytes(imageSize, "workload.image_size"),
            workKey: workKey, platform: platform,
            resources: Resources(
                cpus: try WireField.amount(cpus, "workload.cpus"),
                memory: try WireField.bytes(memory, "workload.memory")),
            policy: try policy.domain(),
            ties: ties,
            affinity: affinityNode.isEmpty
                ? nil
                : Affinity(node: try WireField.node(affinityNode, "workload.affinity_node"), reason: affinityReason))
        request.mountSize = try WireField.bytes(mountSize, "workload.mount_size")
        for name in mirroredAt { request.mirroredAt.insert(try WireField.node(name, "workload.mirrored_at")) }
        request.policySource = policySource
        request.targetReason = targetReason
        return request
    }
}

extension Lighter_V1_PlaceRequest {
    package init(_ request: WorkloadRequest, refused: [NodeID: String]) {
        self.init()
        workload = Lighter_V1_WorkloadRequestMessage(request)
        for (node, reason) in refused { self.refused[node.name] = reason }
    }

    /// - Throws: `WireError` as the request's own mapping, or for a name in `refused` that is not a node's.
    package func domain() throws(WireError) -> (request: WorkloadRequest, refused: [NodeID: String]) {
        var nodes: [NodeID: String] = [:]
        for (name, reason) in refused { nodes[try WireField.node(name, "refused")] = reason }
        return (try workload.domain(), nodes)
    }
}
