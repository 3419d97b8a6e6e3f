package import NIOCore

/// From the owner to the peer.
extension HTTP2Connection {
    /// Opens a stream with a request's head; for clients.
    package mutating func open(_ fields: [HeaderField], ends: Bool) -> UInt32 {
        let id = nextStream
        nextStream += 2
        streams[id] = Stream(sendWindow: initialSendWindow)
        send(fields, on: id, ends: ends)
        return id
    }

    /// An answer's head, or trailers; behind the data that waits.
    package mutating func send(_ fields: [HeaderField], on id: UInt32, ends: Bool) {
        enqueue(.head(fields, ends: ends), id)
    }

    package mutating func send(_ data: ByteBuffer, on id: UInt32, ends: Bool) {
        guard ends || data.readableBytes > 0 else { return }
        enqueue(.data(data, ends: ends), id)
    }

    /// Ends a stream at once in both directions; what waits is dropped.
    package mutating func reset(_ id: UInt32, _ code: UInt32) {
        guard streams[id] != nil else { return }
        write(.reset, 0, id, ByteBuffer(integer: code))
        release(id)
        remove(id)
    }

    /// The last word before the connection closes.
    package mutating func goAway(_ code: UInt32) {
        var payload = ByteBuffer()
        payload.writeMultipleIntegers(lastPeerStream, code)
        write(.goAway, 0, 0, payload)
    }

    /// The owner has no more use for so many bytes of a stream: the peer may send as many again.
    package mutating func consumed(_ count: Int, on id: UInt32) {
        let count = min(count, held[id] ?? 0)
        guard count > 0 else { return }
        held[id] = held[id] == count ? nil : (held[id] ?? 0) - count
        giveBack(count)
        guard var stream = streams[id], !stream.hasEndedThere else { return }
        stream.owed += count
        if stream.owed >= Self.streamWindow / 4 {
            grant(id, stream.owed)
            stream.receiveWindow += stream.owed
            stream.owed = 0
        }
        streams[id] = stream
    }

    /// What a stream that is over has not consumed.
    mutating func release(_ id: UInt32) {
        if let count = held.removeValue(forKey: id) { giveBack(count) }
    }

    mutating func giveBack(_ count: Int) {
        owed += count
        guard owed >= Self.connectionWindow / 4 else { return }
        grant(0, owed)
        receiveWindow += owed
        owed = 0
    }

    /// Bytes for the connection, about as many as asked for, and what of which stream is in them.
    package mutating func drain(_ limit: Int = 64 << 10) -> (bytes: ByteBuffer, sent: [(stream: UInt32, count: Int)]) {
        var out = control
        control = ByteBuffer()
        var sent: [(stream: UInt32, count: Int)] = []
        var blocked: [UInt32] = []
        while out.readableBytes < limit, let id = ready.popFirst() {
            guard var stream = streams[id] else { continue }
            guard let count = advance(&stream, id, &out) else {
                // Its own window brings it back when it opens; the whole connection's does not.
                if stream.sendWindow > 0 { blocked.append(id) }
                continue
            }
            if count > 0 { sent.append((id, count)) }
            streams[id] = stream
            if stream.hasEndedHere { removeIfOver(id) } else if !stream.queue.isEmpty { ready.append(id) }
        }
        ready.append(contentsOf: blocked)
        return (out, sent)
    }

    /// One frame of a stream; nil when its window is closed.
    private mutating func advance(_ stream: inout Stream, _ id: UInt32, _ out: inout ByteBuffer) -> Int? {
        switch stream.queue.first {
        case nil: return 0
        case .head(let fields, let ends)?:
            stream.queue.removeFirst()
            writeHead(fields, id, ends, &out)
            stream.hasEndedHere = ends
            return 0
        case .data(var data, let ends)?:
            let room = min(stream.sendWindow, sendWindow, peerFrameLimit)
            guard room > 0 || data.readableBytes == 0 else { return nil }
            let piece = data.readSlice(length: min(room, data.readableBytes)) ?? ByteBuffer()
            let isLast = data.readableBytes == 0
            Self.write(.data, isLast && ends ? Flag.endStream : 0, id, piece, to: &out)
            stream.sendWindow -= piece.readableBytes
            sendWindow -= piece.readableBytes
            queuedBytes -= piece.readableBytes
            if isLast {
                stream.queue.removeFirst()
                stream.hasEndedHere = ends
            } else {
                stream.queue[stream.queue.startIndex] = .data(data, ends: ends)
            }
            return piece.readableBytes
        }
    }

    private mutating func writeHead(_ fields: [HeaderField], _ id: UInt32, _ ends: Bool, _ out: inout ByteBuffer) {
        var block = HPACKEncoder.encode(fields)
        var kind = Kind.headers
        var flags = ends ? Flag.endStream : 0
        repeat {
            let piece = block.readSlice(length: min(block.readableBytes, Self.frameLimit)) ?? ByteBuffer()
            if block.readableBytes == 0 { flags |= Flag.endHeaders }
            Self.write(kind, flags, id, piece, to: &out)
            (kind, flags) = (.continuation, 0)
        } while block.readableBytes > 0
    }

    private mutating func enqueue(_ item: Item, _ id: UInt32) {
        guard var stream = streams[id], !stream.hasEndedHere else { return }
        if stream.queue.isEmpty { ready.append(id) }
        stream.queue.append(item)
        if case .data(let data, _) = item { queuedBytes += data.readableBytes }
        streams[id] = stream
    }
}
