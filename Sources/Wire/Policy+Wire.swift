package import Fleet
import SwiftProtobuf

extension Lighter_V1_PolicyMessage {
    package init(_ policy: Policy) {
        self.init()
        kind = policy.kind.rawValue
        target = policy.target?.name ?? ""
        tags = policy.tags
        cpuThreshold = policy.cpuThreshold
        memoryThreshold = policy.memoryThreshold
        hysteresis = policy.hysteresis
    }

    /// - Throws: `WireError.unknownWord` for a policy of a newer version, `.invalid` naming the field.
    package func domain() throws(WireError) -> Policy {
        Policy(
            kind: try WireField.policyKind(kind, "policy.kind"),
            target: target.isEmpty ? nil : try WireField.node(target, "policy.target"),
            tags: tags,
            cpuThreshold: try WireField.fraction(cpuThreshold, "policy.cpu_threshold"),
            memoryThreshold: try WireField.fraction(memoryThreshold, "policy.memory_threshold"),
            hysteresis: try WireField.fraction(hysteresis, "policy.hysteresis"))
    }
}

extension Lighter_V1_PolicyOverridesMessage {
    package init(_ overrides: PolicyOverrides) {
        self.init()
        if let kind = overrides.kind { self.kind = kind.rawValue }
        if let target = overrides.target { self.target = target.name }
        if let tags = overrides.tags { self.tags = Lighter_V1_StringList.with { $0.items = tags } }
        if let threshold = overrides.cpuThreshold { cpuThreshold = threshold }
        if let threshold = overrides.memoryThreshold { memoryThreshold = threshold }
    }

    /// A policy that this version does not know reads as silence: the next source decides.
    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> PolicyOverrides {
        var overrides = PolicyOverrides()
        if hasKind { overrides.kind = Policy.Kind(rawValue: kind) }
        if hasTarget { overrides.target = try WireField.node(target, "policy.target") }
        if hasTags { overrides.tags = tags.items }
        if hasCpuThreshold { overrides.cpuThreshold = try WireField.fraction(cpuThreshold, "policy.cpu_threshold") }
        if hasMemoryThreshold {
            overrides.memoryThreshold = try WireField.fraction(memoryThreshold, "policy.memory_threshold")
        }
        return overrides
    }
}
