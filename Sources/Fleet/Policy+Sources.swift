/// What one source (a container's labels, the device's configuration, the gateway's) says of the policy; nil where it is silent.
package struct PolicyOverrides: Sendable, Hashable, Codable {
    package var kind: Policy.Kind?
    package var target: NodeID?
    package var tags: [String]?
    package var cpuThreshold: Double?
    package var memoryThreshold: Double?

    package init() {}

    /// The keys that are read from labels (`lighter.policy=remote`) and, without `lighter.`, from configuration.
    package static let labelPrefix = "lighter."

    /// Reads a container's labels; labels that are not Lighter's are passed over.
    /// - Throws: `FleetError.invalidPolicy` naming the label and what it takes.
    package init(labels: [(key: String, value: String)]) throws(FleetError) {
        for (key, value) in labels where key.hasPrefix(Self.labelPrefix) {
            try set(String(key.dropFirst(Self.labelPrefix.count)), value, shownAs: key)
        }
    }

    /// Sets one key (`policy`, `target`, `tags`, `cpu_threshold`, `memory_threshold`); others are passed over.
    package mutating func set(_ key: String, _ value: String, shownAs shown: String) throws(FleetError) {
        switch key {
        case "policy":
            guard let kind = Policy.Kind(rawValue: value) else {
                throw .invalidPolicy(
                    key: shown, value: value,
                    remedy: "use one of \(Policy.Kind.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.kind = kind
        case "target":
            do {
                target = try NodeID(value)
            } catch {
                throw .invalidPolicy(key: shown, value: value, remedy: "use a node's name, as `lighter nodes` shows it")
            }
        case "tags": tags = value.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        case "cpu_threshold": cpuThreshold = try Self.fraction(value, shownAs: shown)
        case "memory_threshold": memoryThreshold = try Self.fraction(value, shownAs: shown)
        default: break
        }
    }

    /// `75%`, `75` and `0.75` are the same.
    private static func fraction(_ text: String, shownAs shown: String) throws(FleetError) -> Double {
        let digits = text.hasSuffix("%") ? String(text.dropLast()) : text
        guard let number = Double(digits), number.isFinite, number >= 0 else {
            throw .invalidPolicy(key: shown, value: text, remedy: "use a percentage such as 75%")
        }
        let part = text.hasSuffix("%") || number > 1 ? number / 100 : number
        guard part <= 1 else { throw .invalidPolicy(key: shown, value: text, remedy: "use at most 100%") }
        return part
    }
}

extension Policy {
    /// Puts sources over the defaults; the first source that speaks wins.
    package init(firstOf sources: [PolicyOverrides]) {
        self.init()
        kind = sources.lazy.compactMap(\.kind).first ?? kind
        target = sources.lazy.compactMap(\.target).first
        tags = sources.lazy.compactMap(\.tags).first ?? tags
        cpuThreshold = sources.lazy.compactMap(\.cpuThreshold).first ?? cpuThreshold
        memoryThreshold = sources.lazy.compactMap(\.memoryThreshold).first ?? memoryThreshold
    }
}
