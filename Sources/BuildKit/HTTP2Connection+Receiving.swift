package import NIOCore

/// From the peer to the owner.
extension HTTP2Connection {
    /// - Throws: what ends the connection. Its code is the peer's to know, by `goAway`.
    package mutating func receive(_ bytes: ByteBuffer) throws(HTTP2Error) -> [Event] {
        input.discardReadBytes()
        input.writeImmutableBuffer(bytes)
        var events: [Event] = []
        guard try takePreface() else { return [] }
        while let frame = try nextFrame() { try take(frame, &events) }
        guard control.readableBytes <= Self.controlLimit else {
            throw HTTP2Error(.calm, "a peer that asks and does not read the answers")
        }
        return events
    }

    private mutating func takePreface() throws(HTTP2Error) -> Bool {
        if hasPreface { return true }
        let expected = Self.preface.prefix(input.readableBytes)
        guard input.readableBytesView.prefix(expected.count).elementsEqual(expected) else {
            throw HTTP2Error(.protocolError, "a connection that does not begin as HTTP/2 does")
        }
        guard expected.count == Self.preface.count else { return false }
        input.moveReaderIndex(forwardBy: expected.count)
        hasPreface = true
        return true
    }

    private struct Frame {
        /// Nil for a kind that is not known, which is passed over.
        var kind: Kind?
        var flags: UInt8
        var stream: UInt32
        var payload: ByteBuffer

        func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
    }

    private mutating func nextFrame() throws(HTTP2Error) -> Frame? {
        let start = input.readerIndex
        guard input.readableBytes >= 9, let high = input.getInteger(at: start, as: UInt8.self),
            let low = input.getInteger(at: start + 1, as: UInt16.self)
        else { return nil }
        let length = Int(high) << 16 | Int(low)
        guard length <= Self.frameLimit else { throw HTTP2Error(.frameSize, "a frame of \(length) bytes") }
        guard input.readableBytes >= 9 + length else { return nil }
        input.moveReaderIndex(forwardBy: 3)
        guard let (kind, flags, stream) = input.readMultipleIntegers(as: (UInt8, UInt8, UInt32).self),
            let payload = input.readSlice(length: length)
        else { return nil }
        return Frame(kind: Kind(rawValue: kind), flags: flags, stream: stream & 0x7fff_ffff, payload: payload)
    }

    private mutating func take(_ frame: Frame, _ events: inout [Event]) throws(HTTP2Error) {
        if let block {
            guard frame.kind == .continuation, frame.stream == block.stream else {
                throw HTTP2Error(.protocolError, "a frame within a head")
            }
        }
        guard hasSettings || frame.kind == .settings else {
            throw HTTP2Error(.protocolError, "a frame before the settings")
        }
        switch frame.kind {
        case .data: try takeData(frame, &events)
        case .headers: try takeHeaders(frame, &events)
        case .continuation: try takeContinuation(frame, &events)
        case .reset: try takeReset(frame, &events)
        case .settings: try takeSettings(frame)
        case .ping: try takePing(frame)
        case .goAway:
            guard frame.stream == 0, let last = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self)
            else { throw HTTP2Error(.protocolError, "a go-away that is none") }
            events.append(.goAway(last: last & 0x7fff_ffff))
        case .windowUpdate: try takeWindow(frame)
        case .pushPromise: throw HTTP2Error(.protocolError, "a push, which nobody takes")
        case .priority, nil: break
        }
    }

    private func unpadded(_ frame: Frame) throws(HTTP2Error) -> ByteBuffer {
        var payload = frame.payload
        guard frame.has(Flag.padded) else { return payload }
        guard let padding = payload.readInteger(as: UInt8.self), Int(padding) <= payload.readableBytes else {
            throw HTTP2Error(.protocolError, "a padding longer than its frame")
        }
        return payload.getSlice(at: payload.readerIndex, length: payload.readableBytes - Int(padding)) ?? ByteBuffer()
    }

    private mutating func takeData(_ frame: Frame, _ events: inout [Event]) throws(HTTP2Error) {
        let length = frame.payload.readableBytes
        guard frame.stream != 0, !isIdle(frame.stream) else { throw HTTP2Error(.protocolError, "data of no stream") }
        receiveWindow -= length
        guard receiveWindow >= 0 else { throw HTTP2Error(.flowControl, "more data than the window allows") }
        let data = try unpadded(frame)
        guard var stream = streams[frame.stream] else { return giveBack(length) }
        guard !stream.hasEndedThere, stream.hasHead else {
            throw HTTP2Error(.streamClosed, "data where none can be")
        }
        stream.receiveWindow -= length
        guard stream.receiveWindow >= 0 else { throw HTTP2Error(.flowControl, "more data than the window allows") }
        let ends = frame.has(Flag.endStream)
        stream.hasEndedThere = ends
        streams[frame.stream] = stream
        held[frame.stream, default: 0] += length
        if length > data.readableBytes { consumed(length - data.readableBytes, on: frame.stream) }
        events.append(.data(frame.stream, data, ends: ends))
        removeIfOver(frame.stream)
    }

    private mutating func takeHeaders(_ frame: Frame, _ events: inout [Event]) throws(HTTP2Error) {
        guard frame.stream != 0 else { throw HTTP2Error(.protocolError, "a head of no stream") }
        var payload = try unpadded(frame)
        if frame.has(Flag.priority) {
            guard payload.readSlice(length: 5) != nil else {
                throw HTTP2Error(.frameSize, "a head without its priority")
            }
        }
        block = (frame.stream, frame.has(Flag.endStream), payload)
        if frame.has(Flag.endHeaders) { try finishBlock(&events) }
    }

    private mutating func takeContinuation(_ frame: Frame, _ events: inout [Event]) throws(HTTP2Error) {
        guard var block else { throw HTTP2Error(.protocolError, "the continuation of no head") }
        block.bytes.writeImmutableBuffer(frame.payload)
        // One without bytes costs nothing to send, and never ends.
        guard block.bytes.readableBytes <= Self.blockLimit,
            frame.payload.readableBytes > 0 || frame.has(Flag.endHeaders)
        else { throw HTTP2Error(.calm, "a head of over \(Self.blockLimit) bytes") }
        self.block = block
        if frame.has(Flag.endHeaders) { try finishBlock(&events) }
    }

    private mutating func finishBlock(_ events: inout [Event]) throws(HTTP2Error) {
        guard let (id, ends, bytes) = block else { return }
        block = nil
        // Also where nobody wants it: the table must not miss any.
        let fields = try decoder.decode(bytes)
        if streams[id] == nil {
            guard isIdle(id) else { return }
            guard role == .server, id % 2 == 1 else { throw HTTP2Error(.protocolError, "a stream that nobody opened") }
            lastPeerStream = id
            guard streams.count < Self.maximumStreams else {
                write(.reset, 0, id, ByteBuffer(integer: HTTP2Error.Code.refusedStream.rawValue))
                return
            }
            streams[id] = Stream(sendWindow: initialSendWindow)
        }
        guard let stream = streams[id], !stream.hasEndedThere else {
            throw HTTP2Error(.streamClosed, "a head behind the end of its stream")
        }
        streams[id]?.hasHead = true
        streams[id]?.hasEndedThere = ends
        events.append(.head(id, fields, ends: ends))
        removeIfOver(id)
    }

    private func isIdle(_ id: UInt32) -> Bool {
        switch role {
        case .server: id > lastPeerStream
        case .client: id >= nextStream || id % 2 == 0
        }
    }

    private mutating func takeReset(_ frame: Frame, _ events: inout [Event]) throws(HTTP2Error) {
        guard let code = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self),
            frame.payload.readableBytes == 4, frame.stream != 0, !isIdle(frame.stream)
        else { throw HTTP2Error(.protocolError, "a reset that is none") }
        guard streams[frame.stream] != nil else { return }
        release(frame.stream)
        remove(frame.stream)
        events.append(.reset(frame.stream, code: code))
    }

    private mutating func takeSettings(_ frame: Frame) throws(HTTP2Error) {
        guard frame.stream == 0, frame.payload.readableBytes % 6 == 0 else {
            throw HTTP2Error(.frameSize, "settings that are none")
        }
        if frame.has(Flag.ack) { return }
        hasSettings = true
        var payload = frame.payload
        while let (name, value) = payload.readMultipleIntegers(as: (UInt16, UInt32).self) {
            switch name {
            case 4:
                guard value <= 0x7fff_ffff else { throw HTTP2Error(.flowControl, "a window of \(value) bytes") }
                let change = Int(value) - initialSendWindow
                initialSendWindow = Int(value)
                for id in streams.keys { try widen(id, change) }
            case 5:
                guard (16_384...16_777_215).contains(value) else {
                    throw HTTP2Error(.protocolError, "frames of \(value) bytes")
                }
                // Longer ones than we take gain nothing.
                peerFrameLimit = min(Int(value), Self.frameLimit)
            default: break
            }
        }
        write(.settings, Flag.ack, 0, ByteBuffer())
    }

    private mutating func takePing(_ frame: Frame) throws(HTTP2Error) {
        guard frame.stream == 0, frame.payload.readableBytes == 8 else {
            throw HTTP2Error(.frameSize, "a ping that is none")
        }
        if !frame.has(Flag.ack) { write(.ping, Flag.ack, 0, frame.payload) }
    }

    private mutating func takeWindow(_ frame: Frame) throws(HTTP2Error) {
        guard frame.payload.readableBytes == 4,
            let value = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self)
        else { throw HTTP2Error(.frameSize, "a window that is none") }
        let count = Int(value & 0x7fff_ffff)
        guard count > 0, frame.stream == 0 || !isIdle(frame.stream) else {
            throw HTTP2Error(.protocolError, "a window that opens by nothing")
        }
        if frame.stream != 0 { return try widen(frame.stream, count) }
        sendWindow += count
        guard sendWindow <= 0x7fff_ffff else { throw HTTP2Error(.flowControl, "a window that is too wide") }
    }

    private mutating func widen(_ id: UInt32, _ count: Int) throws(HTTP2Error) {
        guard var stream = streams[id] else { return }
        let wasClosed = stream.sendWindow <= 0
        stream.sendWindow += count
        guard stream.sendWindow <= 0x7fff_ffff else { throw HTTP2Error(.flowControl, "a window that is too wide") }
        streams[id] = stream
        if wasClosed, stream.sendWindow > 0, !stream.queue.isEmpty, !ready.contains(id) { ready.append(id) }
    }
}
