internal import Images
internal import NIOCore

/// The lines of an answer in which they are packed.
struct UnpackedTrace<Base: AsyncSequence>: AsyncSequence where Base.Element == ByteBuffer {
    typealias Element = ByteBuffer
    let base: Base
    /// Nil where they are not; they pass as they are then.
    let unpacker: TraceUnpacker?

    init(_ base: Base, _ unpacker: TraceUnpacker?) {
        self.base = base
        self.unpacker = unpacker
    }

    func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator(), unpacker: unpacker) }

    struct Iterator: AsyncIteratorProtocol {
        /// Bytes of lines after which others have their turn: little on the link may be much here.
        private static var turn: Int { 256 << 10 }

        var base: Base.AsyncIterator
        let unpacker: TraceUnpacker?
        private var told = 0

        init(base: Base.AsyncIterator, unpacker: TraceUnpacker?) {
            self.base = base
            self.unpacker = unpacker
        }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            guard let unpacker else { return try await base.next(isolation: actor) }
            while true {
                if let line = try unpacker.next() {
                    told += line.readableBytes
                    if told >= Self.turn {
                        told = 0
                        await Task.yield()
                    }
                    return line
                }
                guard let more = try await base.next(isolation: actor) else { return nil }
                unpacker.add(more)
            }
        }

        mutating func next() async throws -> ByteBuffer? { try await next(isolation: nil) }
    }
}

/// To pack what another node says of a build, with what it said of the folder's last one.
struct TraceOffer: Sendable {
    private let store: SessionMemory
    private let memory: ByteBuffer?
    /// As the request says it.
    let text: String

    /// Reads a file, and may block.
    init(_ store: SessionMemory) {
        self.store = store
        memory = store.load()
        text = PackedTrace.offer(memory)
    }

    /// What unpacks an answer that says this; nil for one that is not packed.
    func unpacker(_ word: String?) throws(ImageError) -> TraceUnpacker? {
        switch word {
        case PackedTrace.known: try TraceUnpacker(memory: memory)
        case PackedTrace.name: try TraceUnpacker()
        default: nil
        }
    }

    /// Keeps what is remembered of an answer that is whole; may block.
    func keep(_ kept: ByteBuffer, _ word: String?) {
        let former = word == PackedTrace.known ? memory : nil
        if PackedStream.isWorthMore(kept, than: former) { store.save(kept) }
    }
}
