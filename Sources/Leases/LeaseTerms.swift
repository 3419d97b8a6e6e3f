/// How long leases stand, from the time between heartbeats.
package struct LeaseTerms: Sendable, Hashable {
    /// Of a grant, counted at the node from when it sent the heartbeat.
    package var term: Duration
    /// What a node has to stop its work, and clocks to differ in speed, before the work may run elsewhere.
    package var margin: Duration

    package init(term: Duration, margin: Duration) {
        self.term = term
        self.margin = margin
    }

    /// Two and a half heartbeats, and one heartbeat to stop: the work may move when a third was missed.
    ///
    /// - Parameter least: the least term, for gateways that need a while to follow one another.
    package init(heartbeat: Duration, least: Duration = .zero) {
        term = max(heartbeat * 2.5, least)
        // Stopping takes as long however often a node beats; a clock may be a thousandth too slow.
        margin = min(max(heartbeat, .milliseconds(400)), .seconds(2)) + term / 1000
    }

    /// For a node that is far: an acknowledgement is a round trip old when it arrives, and some come late.
    package func term(roundTrip: Duration) -> Duration { term + min(max(roundTrip, .zero) * 4, term) }

    /// The longest that is granted.
    package var longest: Duration { term * 2 }
}
