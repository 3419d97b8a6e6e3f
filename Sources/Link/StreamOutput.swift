import NIOCore

/// What a stream's channel has written and the link has not taken yet.
struct StreamOutput {
    private struct Write {
        var buffer: ByteBuffer
        var promise: EventLoopPromise<Void>?
    }

    private var writes = CircularBuffer<Write>(initialCapacity: 1)
    /// How many of `writes` are flushed.
    private var flushed = 0
    /// Bytes written and not taken, flushed or not.
    private(set) var bytes = 0
    /// Bytes flushed and not taken.
    private(set) var flushedBytes = 0
    var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 128 << 10)
    private(set) var isWritable = true

    /// - Returns: whether the stream stopped being writable.
    mutating func write(_ buffer: ByteBuffer, promise: EventLoopPromise<Void>?) -> Bool {
        bytes += buffer.readableBytes
        writes.append(Write(buffer: buffer, promise: promise))
        guard isWritable, bytes > waterMark.high else { return false }
        isWritable = false
        return true
    }

    /// - Returns: the bytes that became ready to be taken.
    mutating func flush() -> Int {
        flushed = writes.count
        defer { flushedBytes = bytes }
        return bytes - flushedBytes
    }

    /// Takes `count` flushed bytes in pieces, and then the empty writes that follow them.
    mutating func take(_ count: Int, piece: (ByteBuffer) -> Void, promise: (EventLoopPromise<Void>) -> Void) {
        var left = count
        while flushed > 0, let size = writes.first?.buffer.readableBytes, left > 0 || size == 0 {
            if size > left {
                if let slice = writes[writes.startIndex].buffer.readSlice(length: left) { piece(slice) }
                left = 0
                break
            }
            let write = writes.removeFirst()
            flushed -= 1
            left -= size
            if size > 0 { piece(write.buffer) }
            if let done = write.promise { promise(done) }
        }
        bytes -= count - left
        flushedBytes -= count - left
    }

    /// - Returns: whether the stream became writable again.
    mutating func becomesWritable() -> Bool {
        guard !isWritable, bytes < waterMark.low else { return false }
        isWritable = true
        return true
    }

    /// Gives up everything.
    /// - Returns: the promises to fail.
    mutating func removeAll() -> [EventLoopPromise<Void>] {
        let promises = writes.compactMap(\.promise)
        writes = CircularBuffer(initialCapacity: 1)
        flushed = 0
        bytes = 0
        flushedBytes = 0
        return promises
    }
}
