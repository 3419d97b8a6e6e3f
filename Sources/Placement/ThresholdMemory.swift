package import Fleet

/// Which origins are sending their work away under `threshold`, kept between decisions so that they do not flap.
///
/// An origin turns to *away* when a measure passes its threshold and back only when all have fallen below threshold minus
/// hysteresis. Kept per pair of thresholds, since a container's labels may set its own.
package struct ThresholdMemory: Sendable, Hashable {
    private struct Thresholds: Sendable, Hashable {
        var cpu: Double
        var memory: Double
        var hysteresis: Double
    }

    /// Thresholds under which an origin is away; an origin that stays has no entry.
    private var away: [NodeID: Set<Thresholds>] = [:]

    /// How many different pairs of thresholds are remembered for one origin; labels must not grow it without bound.
    private static let pairsPerOrigin = 32

    package init() {}

    /// Takes in new measures of a node, so that a dip between two decisions is not missed. Cheap: call it at each heartbeat.
    package mutating func observe(_ node: Node) {
        guard let known = away[node.id] else { return }
        let still = known.filter { !Self.hasCalmed(node.measures, $0) }
        away[node.id] = still.isEmpty ? nil : still
    }

    /// Forgets a node that has left the fleet.
    package mutating func forget(_ node: NodeID) { away[node] = nil }

    /// Whether work of `policy` leaves `node` now; remembers it.
    package mutating func isAway(_ node: Node, under policy: Policy) -> Bool {
        observe(node)
        let key = Thresholds(cpu: policy.cpuThreshold, memory: policy.memoryThreshold, hysteresis: policy.hysteresis)
        if away[node.id]?.contains(key) == true { return true }
        guard node.measures.cpu > key.cpu || node.measures.memory > key.memory else { return false }
        if away[node.id]?.count ?? 0 >= Self.pairsPerOrigin { away[node.id] = nil }
        away[node.id, default: []].insert(key)
        return true
    }

    /// How many pairs of thresholds send work of `node` away.
    package func count(of node: NodeID) -> Int { away[node]?.count ?? 0 }

    private static func hasCalmed(_ measures: Measures, _ key: Thresholds) -> Bool {
        // A threshold below the hysteresis would otherwise never be left: zero load always counts as calm.
        measures.cpu <= max(0, key.cpu - key.hysteresis) && measures.memory <= max(0, key.memory - key.hysteresis)
    }
}
