import NIOCore

extension Session {
    /// The next frame to send, if any: control frames first, then the streams in turn.
    ///
    /// For a data frame the shell takes `length` bytes from what it has queued for that stream.
    mutating func next() -> FrameHeader? {
        if let frame = control.popFirst() { return frame }
        while let id = ready.popFirst() {
            guard let opening = streams[id]?.opening else { continue }
            if opening == .synDue {
                // The reference resets what exceeds its backlog of unaccepted streams: hold ours back.
                guard unacknowledged < limits.backlog else {
                    streams[id]?.scheduled = false
                    waiting.append(id)
                    continue
                }
                unacknowledged += 1
            }
            let slice = ready.isEmpty ? limits.slice * 4 : limits.slice
            streams[id]?.scheduled = false
            guard let frame = streams[id]?.turn(id, slice: slice) else { continue }
            if streams[id]?.isOver == true {
                retire(id)
            } else if frame.kind == .data {
                schedule(id)
            } else {
                again(id)
            }
            return frame
        }
        return nil
    }

    /// A frame without payload does not use up the stream's turn.
    private mutating func again(_ id: UInt32) {
        guard let stream = streams[id], !stream.scheduled, stream.hasTurn else { return }
        streams[id]?.scheduled = true
        ready.prepend(id)
    }

    /// The stream's channel has read `bytes`; the window is given back, and grows where it was the limit.
    mutating func read(_ id: UInt32, bytes: Int, now: NIODeadline) {
        buffered -= bytes
        guard let growth = streams[id]?.read(bytes, roundTrip: roundTrip.smoothed, now: now) else { return }
        if growth > 0, let window = streams[id]?.window {
            let room = min(limits.maximumWindow - window, limits.memory / 2 - grown)
            if room > 0 {
                streams[id]?.window += min(growth, room)
                grown += min(growth, room)
            }
        }
        schedule(id)
    }

    /// Sends a ping; its answer gives a round-trip time.
    mutating func ping(now: NIODeadline) {
        pings[nextPing] = now
        control.append(.ping(nextPing, .syn))
        nextPing &+= 1
    }

    /// Says go-away; new streams of either end are refused from now on.
    mutating func goAway(_ code: GoAwayCode) {
        goingAway = true
        control.append(.goAway(code))
    }
}
