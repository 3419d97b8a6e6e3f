import NIOCore

/// One stream as yamux sees it: windows, what is queued, which ends are finished. Pure counting, no bytes.
struct StreamState {
    /// How far the opening has come.
    enum Opening {
        /// This end opened it; SYN goes with its first frame.
        case synDue
        case synSent
        /// The peer opened it; it waits for this end's acceptor.
        case offered
        /// Accepted; ACK goes with the next frame.
        case ackDue
        case open
    }

    var opening: Opening
    /// Bytes that this end may still send.
    var sendWindow = Yamux.initialWindow
    /// Bytes that the peer may still send.
    var receiveWindow = Yamux.initialWindow
    /// The whole of the receiving window.
    var window: Int
    /// Received and not yet read by the stream's channel.
    var buffered = 0
    /// Flushed by the stream's channel and not yet sent.
    var queued = 0
    /// FIN is to follow what is queued.
    var finishing = false
    var finSent = false
    var finReceived = false
    /// Closed whole by this end: what still comes is dropped, and its window is not given back.
    var abandoned = false
    /// Stands in the queue of streams with something to send.
    var scheduled = false
    /// When to reset an abandoned stream.
    var deadline = NIODeadline.distantFuture
    /// What was queued when `deadline` was set, to see progress.
    var queuedAtDeadline = 0
    /// The measurement of how fast a whole window is read.
    private var epoch: NIODeadline?
    private var readInEpoch = 0

    init(opening: Opening, window: Int) {
        self.opening = opening
        self.window = max(window, Yamux.initialWindow)
    }

    /// The window bytes to give back; 0 while less than half of the window is owed.
    var windowOwed: Int {
        if abandoned || finReceived { return 0 }
        let owed = window - receiveWindow - buffered
        return owed >= window / 2 ? owed : 0
    }

    /// Whether a turn would send anything.
    var hasTurn: Bool {
        if opening == .offered { return false }
        if opening == .synDue || opening == .ackDue { return true }
        if queued > 0 { return sendWindow > 0 || windowOwed > 0 }
        return (finishing && !finSent) || windowOwed > 0
    }

    var isOver: Bool { finSent && finReceived }

    /// The next frame of this stream, at most `slice` payload bytes.
    mutating func turn(_ id: UInt32, slice: Int) -> FrameHeader? {
        var flags: FrameFlags = []
        switch opening {
        case .offered: return nil
        case .synDue:
            flags = .syn
            opening = .synSent
        case .ackDue:
            flags = .ack
            opening = .open
        case .synSent, .open: break
        }
        // The window that a SYN or ACK carries may be more than yamux's own first one.
        let sendable = min(queued, sendWindow, slice)
        let larger = sendable == 0 || window > Yamux.initialWindow
        let owed = !flags.isEmpty && larger ? window - receiveWindow - buffered : windowOwed
        if owed > 0 || (sendable == 0 && !flags.isEmpty) {
            receiveWindow += owed
            return .windowUpdate(id, flags, delta: UInt32(owed))
        }
        if sendable > 0 {
            queued -= sendable
            sendWindow -= sendable
            return .data(id, flags, length: UInt32(sendable))
        }
        guard finishing, queued == 0, !finSent else { return nil }
        // FIN has a frame of its own: the reference takes the flag before the payload and may lose the latter.
        finSent = true
        return .windowUpdate(id, .fin, delta: 0)
    }

    /// `bytes` were read by the stream's channel.
    /// - Returns: by how much the window should grow: as much again when a whole window went within two round trips.
    mutating func read(_ bytes: Int, roundTrip: Duration?, now: NIODeadline) -> Int {
        buffered -= bytes
        guard let start = epoch else {
            epoch = now
            readInEpoch = bytes
            return 0
        }
        readInEpoch += bytes
        guard readInEpoch >= window else { return 0 }
        let quick = max(roundTrip ?? .zero, .milliseconds(1)) * 2
        let elapsed = Duration.nanoseconds((now - start).nanoseconds)
        epoch = nil
        return elapsed <= quick ? window : 0
    }
}
