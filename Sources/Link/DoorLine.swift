import NIOCore

/// The line of connections before a listener's handshakes. Pure.
///
/// Whoever has waited for half of the time that a peer grants a handshake is let go: too little is left of it, and where many
/// wait, handshakes that come too late would be all that are done.
struct DoorLine<Turn> {
    let handshakes: Int
    let places: Int
    let patience: TimeAmount
    private(set) var standing = 0
    private var waiting: CircularBuffer<(since: NIODeadline, turn: Turn)> = []

    init(_ configuration: LinkConfiguration) {
        handshakes = configuration.handshakes
        places = configuration.waiting
        patience = .nanoseconds(TimeAmount(configuration.handshakeTimeout).nanoseconds / 2)
    }

    /// True to begin at once, false to wait; nil when there is no place.
    mutating func enter(_ turn: Turn, now: NIODeadline) -> Bool? {
        if standing < handshakes {
            standing += 1
            return true
        }
        guard waiting.count < places else { return nil }
        waiting.append((now, turn))
        return false
    }

    /// A handshake has ended: who is next, and who has waited for too long.
    mutating func leave(now: NIODeadline) -> (next: Turn?, late: [Turn]) {
        var late: [Turn] = []
        while let first = waiting.popFirst() {
            if first.since + patience >= now { return (first.turn, late) }
            late.append(first.turn)
        }
        standing -= 1
        return (nil, late)
    }
}
