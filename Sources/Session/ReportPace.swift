package import NIOCore

/// How long a node's news waits for company while reports are under way: as long as the gateway takes for one, beyond the way
/// there and back.
///
/// A gateway with little to do answers at once and is told at once. One that has too much is told in fewer and larger reports,
/// which cost it less: half of what it takes for a small report is the same for a large one. News waits no longer than what was
/// sent before it, and nothing waits where nothing is under way.
package struct ReportPace: Sendable {
    /// The shortest and the longest wait.
    package static let bounds = (least: TimeAmount.milliseconds(2), most: TimeAmount.milliseconds(250))

    /// What the gateway takes for a report, smoothed, in nanoseconds.
    private var delay = 0.0

    package init() {}

    /// A report was acknowledged.
    /// - Parameters:
    ///   - time: since it was sent.
    ///   - roundTrip: how much of that is the way; zero where it is not known.
    package mutating func acknowledged(after time: TimeAmount, roundTrip: TimeAmount) {
        let sample = Double(max(0, (time - roundTrip).nanoseconds))
        delay += (sample - delay) / 4
    }

    package var pause: TimeAmount {
        max(Self.bounds.least, min(Self.bounds.most, .nanoseconds(Int64(min(delay, 1e12)))))
    }
}
