import NIOCore

extension Session {
    /// What one frame means for its stream; the parts apply in this order.
    struct Received: Equatable {
        var stream: UInt32
        /// The peer opens it; the acceptor decides.
        var opens = false
        /// Payload bytes that follow, to be delivered; 0 for those to be dropped.
        var delivers = 0
        /// No more comes from the peer, after the payload.
        var ends = false
        /// Both directions are over at once.
        var resets = false
        /// Another stream that had to be reset because the link holds too much.
        var sacrifices: UInt32?
    }

    enum Action: Equatable {
        case none
        case stream(Received)
        case roundTrip(Duration)
        case goAway(GoAwayCode)
    }

    /// The rule that a frame breaks; the link must end.
    struct Violation: Error, Equatable {
        var what: String

        init(_ what: String) { self.what = what }
    }

    mutating func receive(_ frame: FrameHeader, now: NIODeadline) throws(Violation) -> Action {
        guard control.count < limits.control else { throw Violation("it floods this end and reads no answers") }
        switch frame.kind {
        case .data, .windowUpdate: return try receiveStreamFrame(frame, now: now)
        case .ping: return receivePing(frame, now: now)
        case .goAway:
            goingAway = true
            return .goAway(GoAwayCode(rawValue: frame.length))
        }
    }

    private mutating func receivePing(_ frame: FrameHeader, now: NIODeadline) -> Action {
        if frame.flags.contains(.syn) {
            control.append(.ping(frame.length, .ack))
            return .none
        }
        guard frame.flags.contains(.ack), let sent = pings.removeValue(forKey: frame.length) else { return .none }
        let sample = Duration.nanoseconds((now - sent).nanoseconds)
        roundTrip.add(sample)
        return .roundTrip(sample)
    }

    private mutating func receiveStreamFrame(_ frame: FrameHeader, now: NIODeadline) throws(Violation) -> Action {
        let id = frame.stream
        guard id != 0 else { throw Violation("a stream frame for stream 0") }
        var received = Received(stream: id)
        if frame.flags.contains(.syn) {
            guard try offer(id) else { return .none }
            received.opens = true
        } else if streams[id] == nil {
            try checkLate(frame)
            return .none
        }
        if frame.flags.contains(.ack), streams[id]?.opening == .synSent {
            streams[id]?.opening = .open
            acknowledged()
        }
        if frame.flags.contains(.rst) {
            retire(id)
            received.resets = true
            return .stream(received)
        }
        if frame.kind == .data {
            try receiveData(frame, &received)
        } else {
            try receiveWindow(frame)
        }
        if frame.flags.contains(.fin), streams[id] != nil {
            guard streams[id]?.finReceived == false else { throw Violation("two ends of stream \(id)") }
            streams[id]?.finReceived = true
            received.ends = true
            if streams[id]?.isOver == true { retire(id) }
        }
        return received == Received(stream: id) ? .none : .stream(received)
    }

    /// A SYN: checks the number. False when it is refused with a reset.
    private mutating func offer(_ id: UInt32) throws(Violation) -> Bool {
        guard isPeers(id) else { throw Violation("stream \(id) is not the peer's to open") }
        guard streams[id] == nil else { throw Violation("stream \(id) opened twice") }
        if id > highestPeerStream {
            let first = highestPeerStream == 0 ? (role == .client ? 2 : 1) : highestPeerStream + 2
            guard Int(id - first) / 2 + skipped.count <= limits.skipped else {
                throw Violation("stream \(id) leaves out too many numbers")
            }
            skipped.formUnion(stride(from: first, to: id, by: 2))
            highestPeerStream = id
        } else if skipped.remove(id) == nil {
            throw Violation("stream number \(id) used twice")
        }
        guard !goingAway, streams.count < limits.streams, unaccepted < limits.backlog else {
            control.append(.windowUpdate(id, .rst, delta: 0))
            return false
        }
        unaccepted += 1
        streams[id] = StreamState(opening: .offered, window: limits.initialWindow)
        return true
    }

    /// Frames for streams that were closed or refused a moment ago are ignored; for ones that never were, not.
    private func checkLate(_ frame: FrameHeader) throws(Violation) {
        let id = frame.stream
        let known = isPeers(id) ? id <= highestPeerStream && !skipped.contains(id) : id < nextStream
        guard known else { throw Violation("a frame for stream \(id), which was never opened") }
    }

    private func isPeers(_ id: UInt32) -> Bool { (id & 1 == 0) == (role == .client) }

    private mutating func receiveData(_ frame: FrameHeader, _ received: inout Received) throws(Violation) {
        let id = frame.stream
        let length = Int(frame.length)
        guard length > 0 else { return }
        guard streams[id]?.finReceived == false else { throw Violation("data after the end of stream \(id)") }
        guard length <= streams[id]?.receiveWindow ?? 0 else {
            throw Violation("\(length) bytes for stream \(id), beyond its window")
        }
        streams[id]?.receiveWindow -= length
        if streams[id]?.abandoned == true { return }
        received.delivers = length
        streams[id]?.buffered += length
        buffered += length
        guard buffered > limits.memory else { return }
        let most = streams.max { $0.value.buffered < $1.value.buffered }
        guard let victim = most?.key else { return }
        reset(victim)
        received.sacrifices = victim
    }

    private mutating func receiveWindow(_ frame: FrameHeader) throws(Violation) {
        guard frame.length > 0, let window = streams[frame.stream]?.sendWindow else { return }
        let grown = window + Int(frame.length)
        guard grown <= Int(UInt32.max) else { throw Violation("a window beyond 4 GiB for stream \(frame.stream)") }
        streams[frame.stream]?.sendWindow = grown
        schedule(frame.stream)
    }
}
