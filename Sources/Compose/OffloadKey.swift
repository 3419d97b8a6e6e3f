import Fleet

/// A setting of `x-offload` and `offload_policy`; it becomes the label of the same name.
enum OffloadKey: String, CaseIterable {
    case policy
    case target
    case tags
    case cpuThreshold = "cpu_threshold"
    case memoryThreshold = "memory_threshold"
    // Carried to the container as they are: what they may say is for whoever reads the label.
    case priority
    case deadline
    case failover
    case exclusive

    /// Also takes `target_node`, which is how a person may call the target.
    init?(name: String) {
        self.init(rawValue: name == "target_node" ? "target" : name)
    }

    var label: String { PolicyOverrides.labelPrefix + rawValue }
}
