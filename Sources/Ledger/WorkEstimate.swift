/// What one kind of work takes, learnt from its runs; all in seconds of a reference core.
package struct WorkEstimate: Sendable, Hashable, Codable {
    /// How many runs were seen.
    package private(set) var count: Int
    /// Over all runs.
    package private(set) var mean: Double
    /// The latest runs, oldest first.
    private var recent: [Double]

    /// How many of the latest runs the quantiles are of: enough to be steady, few enough to follow a change.
    package static let window = 48

    package init() {
        count = 0
        mean = 0
        recent = []
    }

    package var median: Double { quantile(0.5) }

    /// The time that the given part of the latest runs stayed under, by linear interpolation; 0 when there was none.
    package func quantile(_ part: Double) -> Double {
        let sorted = recent.sorted()
        guard let last = sorted.last else { return 0 }
        let position = min(max(part, 0), 1) * Double(sorted.count - 1)
        let index = Int(position)
        guard index + 1 < sorted.count else { return last }
        return sorted[index] + (sorted[index + 1] - sorted[index]) * (position - Double(index))
    }

    /// Takes one more run into account; what is no time (negative, not finite) is left aside.
    package mutating func add(_ coreSeconds: Double) {
        guard coreSeconds.isFinite, coreSeconds >= 0 else { return }
        count += 1
        mean += (coreSeconds - mean) / Double(count)
        recent.append(coreSeconds)
        if recent.count > Self.window { recent.removeFirst(recent.count - Self.window) }
    }
}
