#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How often a node was lost, where each time counts half as much with every hour that has passed since.
package struct RecentLosses: Sendable, Hashable, Codable {
    /// In seconds.
    package static let halfLife = 3600.0
    /// Below this, nothing is worth remembering.
    package static let least = 0.05

    /// What it was at `countedAt`.
    package private(set) var counted: Double
    /// Seconds since 1970, by the gateway's clock.
    package private(set) var countedAt: Double

    package init(counted: Double, at countedAt: Double) {
        self.counted = counted
        self.countedAt = countedAt
    }

    /// What it is at a later time; a clock that is behind sees it as it was counted.
    package func count(at now: Double) -> Double {
        counted * exp2(-max(0, now - countedAt) / Self.halfLife)
    }

    /// With one more.
    package func adding(at now: Double) -> RecentLosses { RecentLosses(counted: count(at: now) + 1, at: now) }
}
