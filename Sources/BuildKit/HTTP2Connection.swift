package import NIOCore

/// One end of an HTTP/2 connection (RFC 9113) as a state machine: bytes in, events and bytes out. It does no I/O.
///
/// Bounded: a peer sends no more than the windows allow, which open as the owner says that it is done with bytes.
package struct HTTP2Connection: Sendable {
    package enum Role: Sendable { case client, server }

    package enum Event: Sendable, Hashable {
        /// A request's or an answer's head, or its trailers.
        case head(UInt32, [HeaderField], ends: Bool)
        case data(UInt32, ByteBuffer, ends: Bool)
        case reset(UInt32, code: UInt32)
        /// The peer takes no further streams than those up to this one.
        case goAway(last: UInt32)
    }

    /// Bytes of one stream that the peer may send ahead of us.
    static let streamWindow = 256 << 10
    /// The same of all streams together.
    static let connectionWindow = 4 << 20
    /// Streams that the peer may have open.
    static let maximumStreams = 256
    static let frameLimit = 16 << 10
    /// A head in its compressed form.
    static let blockLimit = 64 << 10
    /// What a peer may make us say that it does not read.
    static let controlLimit = 256 << 10
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    enum Item: Sendable {
        case data(ByteBuffer, ends: Bool)
        case head([HeaderField], ends: Bool)
    }

    struct Stream: Sendable {
        var sendWindow: Int
        var receiveWindow = HTTP2Connection.streamWindow
        /// Consumed, and not told to the peer yet.
        var owed = 0
        var queue = CircularBuffer<Item>()
        var hasEndedHere = false
        var hasEndedThere = false
        var hasHead = false
    }

    let role: Role
    var input = ByteBuffer()
    var hasPreface: Bool
    var hasSettings = false
    var decoder = HPACKDecoder()
    /// A head that goes on in further frames.
    var block: (stream: UInt32, ends: Bool, bytes: ByteBuffer)?
    var streams: [UInt32: Stream] = [:]
    /// The highest stream that the peer has opened.
    var lastPeerStream: UInt32 = 0
    var nextStream: UInt32 = 1

    var sendWindow = 65_535
    var initialSendWindow = 65_535
    var peerFrameLimit = HTTP2Connection.frameLimit
    var receiveWindow = HTTP2Connection.connectionWindow
    var owed = 0
    /// Received and not consumed, by stream; also of streams that have closed.
    var held: [UInt32: Int] = [:]

    var control = ByteBuffer()
    /// Streams that may have something to send.
    var ready = CircularBuffer<UInt32>()
    var closed: [UInt32] = []

    package init(_ role: Role) {
        self.role = role
        hasPreface = role == .client
        if role == .client { control.writeBytes(Self.preface) }
        var settings = ByteBuffer()
        // ENABLE_PUSH is a client's to say, MAX_CONCURRENT_STREAMS a server's.
        settings.writeMultipleIntegers(
            UInt16(role == .client ? 2 : 3), UInt32(role == .client ? 0 : Self.maximumStreams), UInt16(4),
            UInt32(Self.streamWindow))
        write(.settings, 0, 0, settings)
        grant(0, Self.connectionWindow - 65_535)
    }

    package func has(_ stream: UInt32) -> Bool { streams[stream] != nil }

    /// Bytes of data that wait for the peer's windows, or to be drained.
    package internal(set) var queuedBytes = 0

    /// Whether anything waits to be sent, as far as the peer's windows allow.
    package var hasOutput: Bool { control.readableBytes > 0 || ready.contains(where: canSend) }

    private func canSend(_ id: UInt32) -> Bool {
        guard let stream = streams[id], let item = stream.queue.first else { return false }
        guard case .data(let data, _) = item, data.readableBytes > 0 else { return true }
        return sendWindow > 0 && stream.sendWindow > 0
    }

    /// Streams that have closed since this was asked last.
    package mutating func takeClosed() -> [UInt32] {
        defer { closed = [] }
        return closed
    }

    // MARK: Frames

    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    enum Flag {
        static let ack: UInt8 = 1
        static let endStream: UInt8 = 1
        static let endHeaders: UInt8 = 4
        static let padded: UInt8 = 8
        static let priority: UInt8 = 0x20
    }

    mutating func write(_ kind: Kind, _ flags: UInt8, _ stream: UInt32, _ payload: ByteBuffer) {
        Self.write(kind, flags, stream, payload, to: &control)
    }

    static func write(_ kind: Kind, _ flags: UInt8, _ stream: UInt32, _ payload: ByteBuffer, to out: inout ByteBuffer) {
        out.writeMultipleIntegers(
            UInt8(payload.readableBytes >> 16 & 0xff), UInt16(payload.readableBytes & 0xffff), kind.rawValue, flags,
            stream)
        out.writeImmutableBuffer(payload)
    }

    mutating func grant(_ stream: UInt32, _ count: Int) {
        write(.windowUpdate, 0, stream, ByteBuffer(integer: UInt32(count)))
    }

    mutating func removeIfOver(_ id: UInt32) {
        guard let stream = streams[id], stream.hasEndedHere, stream.hasEndedThere else { return }
        remove(id)
    }

    mutating func remove(_ id: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        for case .data(let data, _) in stream.queue { queuedBytes -= data.readableBytes }
        closed.append(id)
    }
}
