import NIOCore

/// The bytes of one burst: headers and small payloads copied together, large payloads passed on as they are.
struct OutboundBatch {
    private var gathered: ByteBuffer
    private let coalescing: Int
    private(set) var bytes = 0
    private(set) var promises: [EventLoopPromise<Void>] = []
    /// Streams whose FIN is in this batch, and whose channels took bytes out.
    var ended: [UInt32] = []
    var drained: [StreamChannel] = []

    init(allocator: ByteBufferAllocator, capacity: Int, coalescing: Int) {
        gathered = allocator.buffer(capacity: capacity)
        self.coalescing = coalescing
    }

    mutating func append(_ header: FrameHeader) {
        gathered.writeFrameHeader(header)
        bytes += Yamux.headerSize
    }

    /// - Parameter write: where a payload goes that is not copied, after what was gathered before it.
    mutating func append(_ payload: ByteBuffer, write: (ByteBuffer) -> Void) {
        bytes += payload.readableBytes
        if payload.readableBytes <= coalescing {
            gathered.writeImmutableBuffer(payload)
        } else {
            if let rest = takeGathered() { write(rest) }
            write(payload)
        }
    }

    mutating func append(_ promise: EventLoopPromise<Void>) { promises.append(promise) }

    mutating func append(_ more: [EventLoopPromise<Void>]) { promises.append(contentsOf: more) }

    /// What was gathered and not written.
    mutating func takeGathered() -> ByteBuffer? {
        guard gathered.readableBytes > 0 else { return nil }
        defer { gathered = ByteBuffer() }
        return gathered
    }
}
