internal import NIOCore

/// The lines of a stream of buffers, without their line feeds.
struct Lines<Base: AsyncSequence>: AsyncSequence where Base.Element == ByteBuffer {
    typealias Element = ByteBuffer
    let base: Base

    init(_ base: Base) { self.base = base }

    func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        var base: Base.AsyncIterator
        private var pending = ByteBuffer()
        private var hasEnded = false
        /// The most bytes in one line; a peer that sends more has lost its way.
        private static var limit: Int { 4 << 20 }

        init(base: Base.AsyncIterator) { self.base = base }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            while true {
                if let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = pending.readSlice(length: end - pending.readerIndex)
                    pending.moveReaderIndex(forwardBy: 1)
                    pending.discardReadBytes()
                    if let line, line.readableBytes > 0 { return line }
                    continue
                }
                if hasEnded {
                    let rest = pending.readSlice(length: pending.readableBytes)
                    return rest.flatMap { $0.readableBytes > 0 ? $0 : nil }
                }
                guard pending.readableBytes <= Self.limit else {
                    throw FrontDoorError(.unreachable, "a line of over \(Self.limit) bytes")
                }
                guard var more = try await base.next(isolation: actor) else {
                    hasEnded = true
                    continue
                }
                pending.writeBuffer(&more)
            }
        }

        mutating func next() async throws -> ByteBuffer? { try await next(isolation: nil) }
    }
}
