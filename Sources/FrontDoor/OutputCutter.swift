internal import NIOCore

/// Cuts a stream where another's may follow.
protocol OutputCutter {
    /// What may be passed on now.
    mutating func pass(_ bytes: ByteBuffer) -> ByteBuffer
    /// What was held back, where the stream has ended and nothing follows.
    mutating func finish() -> ByteBuffer
}
