/// What a gateway, or an origin, has granted a node: until when the node may believe that its leases stand. Pure.
///
/// Nanoseconds of the grantor's own clock. A grant is counted from when it is sent, which is after the node sent what it
/// answers: so the node's own count ends first.
package struct GrantedLease: Sendable, Hashable {
    /// By when every grant that was sent has run out at the node.
    package private(set) var runsOut: UInt64

    /// - Parameter runsOut: a grantor that has just started knows no grants of the one before it, but how long they were at most.
    package init(runsOut: UInt64) { self.runsOut = runsOut }

    /// Said before the grant is sent.
    package mutating func grant(_ term: UInt64, at now: UInt64) { runsOut = max(runsOut, now &+ term) }

    /// Nanoseconds until what the node held may run elsewhere: when the last grant has run out, and the node has had `margin` to
    /// stop it. Zero when it may now.
    package func remaining(at now: UInt64, margin: UInt64) -> UInt64 {
        let end = runsOut &+ margin
        return end > now ? end - now : 0
    }
}
