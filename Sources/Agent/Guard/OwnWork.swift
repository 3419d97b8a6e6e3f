/// What Lighter itself does at the engine, so that the engine's events of it are not taken for the owner's doings. Pure.
struct OwnWork {
    /// Seconds by which an event may follow its answer.
    private static let lateness = 5.0

    private var underway: [String: Int] = [:]
    private var endedAt: [String: Double] = [:]

    mutating func begin(_ work: String) { underway[work, default: 0] += 1 }

    mutating func end(_ work: String, at now: Double) {
        underway[work, default: 1] -= 1
        if underway[work] == 0 { underway[work] = nil }
        endedAt = endedAt.filter { now - $0.value <= Self.lateness }
        endedAt[work] = now
    }

    func isUnderway(_ work: String) -> Bool { underway[work] != nil }

    func covers(_ work: String, at now: Double) -> Bool {
        underway[work] != nil || endedAt[work].map { now - $0 <= Self.lateness } ?? false
    }
}
