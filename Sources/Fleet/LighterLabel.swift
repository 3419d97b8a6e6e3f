/// The labels by which a container's user tells Lighter something.
package enum LighterLabel: String, Sendable, CaseIterable {
    case policy, target, tags, loss, attempts
    case cpuThreshold = "cpu_threshold"
    case memoryThreshold = "memory_threshold"
    case returning = "return"
    // Carried to the container for whoever reads them there; nothing is decided by them here.
    case priority, deadline, failover, exclusive

    /// As they stand on containers, in order.
    package static var names: [String] { allCases.map { PolicyOverrides.labelPrefix + $0.rawValue }.sorted() }

    private static let switches = ["true", "false", "yes", "no"]

    /// Refuses what only looks as if it said something: names that are none, values of those that nothing here reads, and
    /// `policy=local` with another node as the target.
    ///
    /// - Parameter origin: where the container is asked for.
    package static func check(_ labels: [String: String], origin: NodeID) throws(FleetError) {
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) where key.hasPrefix(PolicyOverrides.labelPrefix) {
            guard let label = LighterLabel(rawValue: String(key.dropFirst(PolicyOverrides.labelPrefix.count))) else {
                throw .unknownLabel(key)
            }
            try label.check(value, shownAs: key)
        }
        let target = labels[PolicyOverrides.labelPrefix + target.rawValue]
        guard labels[PolicyOverrides.labelPrefix + policy.rawValue] == "local", let target, target != origin.name else {
            return
        }
        throw .invalidPolicy(
            key: PolicyOverrides.labelPrefix + policy.rawValue, value: "local",
            remedy: "that is \(origin), but lighter.target names \(target): leave one of them out")
    }

    /// Refuses a value of a label that is only carried; those of the others are refused where they are read.
    package func check(_ value: String, shownAs shown: String) throws(FleetError) {
        let remedy: String? =
            switch self {
            case .priority: Int(value) == nil ? "use a whole number" : nil
            case .deadline: Self.isTime(value) ? nil : "use a time such as 500ms, 30s, 10m, 12h or 7d"
            case .exclusive: Self.switches.contains(value) ? nil : "use true, false, yes or no"
            case .failover:
                Self.failovers.contains(value) ? nil : "use one of \(Self.failovers.joined(separator: ", "))"
            case .policy, .target, .tags, .loss, .attempts, .cpuThreshold, .memoryThreshold, .returning: nil
            }
        if let remedy { throw .invalidPolicy(key: shown, value: value, remedy: remedy) }
    }

    private static var failovers: [String] { LossPolicy.Kind.allCases.map(\.rawValue) + switches }

    private static func isTime(_ text: String) -> Bool {
        let unit = ["ms", "s", "m", "h", "d"].first { text.hasSuffix($0) } ?? ""
        guard let number = Double(text.dropLast(unit.count)) else { return false }
        return number.isFinite && number > 0
    }
}
