/// How often outputs are fetched again from a node that has not given them, and when.
struct OutputTries {
    /// In a row, while the node is there; one that is out of reach is tried for as long as it is.
    private static let limit = 8
    /// Seconds.
    private static let longestPause = 8.0

    private var pause = 0.1
    private var failures = 0

    /// - Returns: seconds to wait, up to the half of which may be left out; nil to give up.
    mutating func pause(afterFailureOutOfReach isOutOfReach: Bool) -> Double? {
        failures = isOutOfReach ? 0 : failures + 1
        guard failures < Self.limit else { return nil }
        pause = min(Self.longestPause, pause * 2)
        return pause
    }
}
