import Fleet

/// Cores that no lease has reserved.
struct CPUFilter: Filter {
    let wanted: Double
    func refusal(of node: Node) -> Refusal? {
        let free = max(0, node.capacity.cpus - node.reserved.cpus)
        return wanted <= free ? nil : .cpus(free: free, wants: wanted)
    }
}

/// Memory that no lease has reserved.
struct MemoryFilter: Filter {
    let wanted: ByteCount
    func refusal(of node: Node) -> Refusal? {
        let free = max(.zero, node.capacity.memory - node.reserved.memory)
        return wanted <= free ? nil : .memory(free: free, wants: wanted)
    }
}

/// Room for the image where it is missing, with what a container needs to start; a node that has not measured its disk passes.
struct DiskFilter: Filter {
    /// For the container's own layer and the engine's work.
    static let margin = ByteCount.mebibytes(64)

    let question: Question
    func refusal(of node: Node) -> Refusal? {
        let free = node.measures.diskFree
        guard free != .zero else { return nil }
        let missing = question.missingBytes(on: node)
        // The image arrives packed and is unpacked beside that: both are there for a moment.
        let wanted = missing + missing + Self.margin
        return wanted <= free ? nil : .disk(free: free, wants: wanted)
    }
}
