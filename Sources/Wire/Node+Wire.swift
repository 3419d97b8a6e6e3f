package import Fleet

extension Lighter_V1_NodeMessage {
    package init(_ node: Node) {
        self.init()
        id = node.id.name
        tenant = node.tenant.name
        state = node.state.rawValue
        bootID = node.bootID
        addresses = node.addresses
        tags = node.tags
        platform = node.platform
        engineVersion = node.engineVersion
        engineApiVersion = node.engineAPIVersion
        capacityCpus = node.capacity.cpus
        capacityMemory = node.capacity.memory.bytes
        reservedCpus = node.reserved.cpus
        reservedMemory = node.reserved.memory.bytes
        measures = Lighter_V1_MeasuresMessage(node.measures)
        acceptsWork = node.acceptsWork
        drainedSince = node.drainedSince ?? 0
        drainsWithState = node.drainsWithState
        if let known = node.losses { (losses, lossesAt) = (known.counted, known.countedAt) }
        if let known = node.opinion { (opinion, opinionBy) = (known.finding.rawValue, known.by.name) }
    }

    /// A state that this version does not know reads as `unreachable`: nothing is placed there.
    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> Node {
        var node = Node(
            id: try WireField.node(id, "node.id"),
            tenant: try WireField.tenant(tenant, "node.tenant"),
            state: NodeState(rawValue: state) ?? .unreachable,
            bootID: bootID, addresses: addresses, tags: tags, platform: platform,
            engineVersion: engineVersion, engineAPIVersion: engineApiVersion,
            capacity: Resources(
                cpus: try WireField.amount(capacityCpus, "node.capacity_cpus"),
                memory: try WireField.bytes(capacityMemory, "node.capacity_memory")),
            reserved: Resources(
                cpus: try WireField.amount(reservedCpus, "node.reserved_cpus"),
                memory: try WireField.bytes(reservedMemory, "node.reserved_memory")),
            measures: try measures.domain(),
            acceptsWork: acceptsWork)
        if drainedSince > 0 { node.drainedSince = try WireField.amount(drainedSince, "node.drained_since") }
        node.drainsWithState = drainsWithState
        if losses > 0 {
            node.losses = RecentLosses(
                counted: try WireField.amount(losses, "node.losses"),
                at: try WireField.amount(lossesAt, "node.losses_at"))
        }
        if let finding = SecondOpinion.Finding(rawValue: opinion) {
            node.opinion = SecondOpinion(by: try WireField.node(opinionBy, "node.opinion_by"), finding)
        }
        return node
    }
}

extension Lighter_V1_MeasuresMessage {
    package init(_ measures: Measures) {
        self.init()
        cpu = measures.cpu
        memory = measures.memory
        diskFree = measures.diskFree.bytes
        if let pressure = measures.cpuPressure { cpuPressure = pressure }
        if let pressure = measures.memoryPressure { memoryPressure = pressure }
        if let pressure = measures.ioPressure { ioPressure = pressure }
        runningContainers = Int64(measures.runningContainers)
        gatewayRtt = measures.gatewayRTT
        bandwidth = measures.bandwidth
        coreSpeed = measures.coreSpeed
    }

    /// A core speed of zero is one that was not sent, and reads as the reference core's.
    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> Measures {
        var measures = Measures()
        measures.cpu = try WireField.share(cpu, "measures.cpu")
        measures.memory = try WireField.share(memory, "measures.memory")
        measures.diskFree = try WireField.bytes(diskFree, "measures.disk_free")
        if hasCpuPressure { measures.cpuPressure = try WireField.share(cpuPressure, "measures.cpu_pressure") }
        if hasMemoryPressure {
            measures.memoryPressure = try WireField.share(memoryPressure, "measures.memory_pressure")
        }
        if hasIoPressure { measures.ioPressure = try WireField.share(ioPressure, "measures.io_pressure") }
        measures.runningContainers = Int(
            try WireField.amount(Double(runningContainers), "measures.running_containers"))
        measures.gatewayRTT = try WireField.amount(gatewayRtt, "measures.gateway_rtt")
        measures.bandwidth = try WireField.amount(bandwidth, "measures.bandwidth")
        let speed = try WireField.amount(coreSpeed, "measures.core_speed", most: 1000)
        measures.coreSpeed = speed == 0 ? 1 : speed
        return measures
    }
}
