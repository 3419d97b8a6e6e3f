internal import DockerAPI
internal import Engine
internal import Images
internal import NIOCore
internal import NIOPosix

/// To pack a session on its way to another node, which may not know how.
struct PackingOffer: Sendable {
    private let store: SessionMemory
    private let memory: ByteBuffer?
    /// As the request says it.
    let text: String

    /// Whether the node has packed sessions before, so that it may be asked in fewer words.
    var isExpected: Bool { memory != nil }

    /// Reads a file, and may block.
    init(_ store: SessionMemory) {
        self.store = store
        memory = store.load()
        text = PackedStream.offer(memory)
    }

    /// Packs what follows where the answer agrees.
    /// - Parameter early: what came with the answer.
    /// - Returns: whether it does.
    @NodeLoop
    func accept(_ answer: ResponseHead, early: ByteBuffer, on channel: any Channel) throws(ImageError) -> Bool {
        let word = answer.headers.first(PackedStream.header)
        guard word == PackedStream.known || word == PackedStream.plain else {
            // It did not understand what it was told in few words.
            guard !isExpected else { throw ImageError(.compression, "the node does not pack sessions any more") }
            return false
        }
        let known = word == PackedStream.known ? memory : nil
        let handler = try PackedStreamHandler(.offering, pulls: false, memory: known, early: early) { [store] left in
            guard PackedStream.isWorthMore(left, than: known) else { return }
            NIOThreadPool.singleton.submit { _ in store.save(left) }
        }
        try handler.join(channel, before: RawSideHandler.self)
        return true
    }
}
