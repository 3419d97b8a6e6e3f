import NIOCore

/// Which end of a link this is: who dialled opens odd streams, who was dialled opens even ones.
package enum LinkRole: Sendable {
    case client
    case server
}

/// yamux's session: which streams exist, what each may send, and which frame is next. Decides purely; holds no
/// bytes and no channels. Its shell is `LinkHandler`.
struct Session {
    let role: LinkRole
    let limits: Limits
    var streams: [UInt32: StreamState] = [:]
    /// Frames of the session itself, and resets; they go before everything else.
    var control = CircularBuffer<FrameHeader>(initialCapacity: 4)
    /// Streams with something to send, in the order of their turns.
    var ready = CircularBuffer<UInt32>(initialCapacity: 4)
    /// Opened here, and waiting until the peer has accepted some of the others.
    var waiting = CircularBuffer<UInt32>(initialCapacity: 1)
    var nextStream: UInt32
    var highestPeerStream: UInt32 = 0
    /// The peer's stream ids below the highest that it has not used yet: openings may overtake each other.
    var skipped: Set<UInt32> = []
    var unacknowledged = 0
    var unaccepted = 0
    /// Received bytes that no channel has read yet.
    var buffered = 0
    /// Window bytes beyond the first window of each stream.
    var grown = 0
    var roundTrip = RoundTrip()
    var pings: [UInt32: NIODeadline] = [:]
    var nextPing: UInt32 = 0
    /// Set when either end says go-away: no new streams.
    var goingAway = false
    /// Streams that were closed whole and are not over.
    var lingering: Set<UInt32> = []

    struct Limits {
        var initialWindow: Int
        var maximumWindow: Int
        var memory: Int
        var streams: Int
        var backlog: Int
        var slice: Int
        /// Unsent control frames beyond which the peer is flooding this end.
        var control = 4096
        /// Stream ids that a peer may leave out.
        var skipped = 4096
    }

    init(role: LinkRole, limits: Limits) {
        self.role = role
        self.limits = limits
        nextStream = role == .client ? 1 : 2
    }

    /// Whether there is anything that could be sent now.
    var hasOutput: Bool { !control.isEmpty || !ready.isEmpty }

    func contains(_ id: UInt32) -> Bool { streams[id] != nil }

    /// Opens a stream of this end. Nothing is sent until its turn, so that SYN travels with its first data.
    mutating func open() throws(LinkError) -> UInt32 {
        if goingAway { throw LinkError(.peerWentAway, "the link takes no more streams, it is closing; dial again") }
        guard streams.count < limits.streams else {
            throw LinkError(.tooManyStreams, "the link has its \(limits.streams) streams open already; close some")
        }
        guard nextStream < UInt32.max - 2 else {
            throw LinkError(.tooManyStreams, "the link has used up its stream numbers; dial again")
        }
        let id = nextStream
        nextStream += 2
        streams[id] = StreamState(opening: .synDue, window: limits.initialWindow)
        schedule(id)
        return id
    }

    /// The acceptor took the peer's stream.
    mutating func accept(_ id: UInt32) {
        guard streams[id]?.opening == .offered else { return }
        streams[id]?.opening = .ackDue
        unaccepted -= 1
        schedule(id)
    }

    /// `bytes` of the stream are ready to be sent.
    mutating func queue(_ id: UInt32, bytes: Int) {
        streams[id]?.queued += bytes
        schedule(id)
    }

    /// No more will be queued: FIN follows what is.
    mutating func finish(_ id: UInt32) {
        streams[id]?.finishing = true
        schedule(id)
    }

    /// The stream's channel is closed whole: FIN follows what is queued; what still comes is dropped.
    /// - Parameter unread: received bytes that the channel never read.
    mutating func abandon(_ id: UInt32, unread: Int, deadline: NIODeadline) {
        buffered -= unread
        guard let queued = streams[id]?.queued else { return }
        streams[id]?.buffered -= unread
        streams[id]?.abandoned = true
        streams[id]?.deadline = deadline
        streams[id]?.queuedAtDeadline = queued
        lingering.insert(id)
        finish(id)
    }

    /// Received bytes that found their stream's channel gone.
    mutating func drop(bytes: Int) { buffered -= bytes }

    /// Ends the stream at once, in both directions.
    mutating func reset(_ id: UInt32) {
        guard let stream = streams[id] else { return }
        // A stream that the peer has not heard of needs no reset.
        if stream.opening != .synDue { control.append(.windowUpdate(id, .rst, delta: 0)) }
        retire(id)
    }

    /// Resets abandoned streams that made no progress until `now`.
    /// - Returns: the streams that are gone, and when to ask again (nil: never).
    mutating func expire(now: NIODeadline, drain: TimeAmount) -> (gone: [UInt32], next: NIODeadline?) {
        var gone: [UInt32] = []
        var next: NIODeadline?
        for id in lingering {
            guard var stream = streams[id] else { continue }
            if stream.deadline <= now {
                if !stream.finSent, stream.queued < stream.queuedAtDeadline {
                    stream.deadline = now + drain
                    stream.queuedAtDeadline = stream.queued
                    streams[id] = stream
                } else {
                    gone.append(id)
                    continue
                }
            }
            next = min(next ?? stream.deadline, stream.deadline)
        }
        gone.forEach { reset($0) }
        return (gone, next)
    }

    /// Forgets a stream; late frames for it are ignored from now on.
    mutating func retire(_ id: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        lingering.remove(id)
        grown -= max(0, stream.window - max(limits.initialWindow, Yamux.initialWindow))
        switch stream.opening {
        case .synSent: acknowledged()
        case .offered: unaccepted -= 1
        case .synDue, .ackDue, .open: break
        }
    }

    /// The peer has taken one of the streams that this end opened.
    mutating func acknowledged() {
        unacknowledged -= 1
        while let id = waiting.popFirst() {
            guard streams[id] != nil else { continue }
            schedule(id)
            return
        }
    }

    mutating func schedule(_ id: UInt32) {
        guard let stream = streams[id], !stream.scheduled, stream.hasTurn else { return }
        streams[id]?.scheduled = true
        ready.append(id)
    }
}
