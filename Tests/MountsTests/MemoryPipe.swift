import Mounts
import NIOCore
import Synchronization

/// The two ends of a pipe in memory, and what went through it.
final class MemoryWire: Sendable {
    struct Counts {
        var bytes: [MountSide: Int] = [:]
        /// How often the side that sends changed.
        var turns = 0
        fileprivate var last: MountSide?
        fileprivate var cutAfter: Int?
    }

    struct Cut: Error {}

    let origin: MemoryPipe
    let target: MemoryPipe
    private let counts: Mutex<Counts>

    /// - Parameter cutAfter: The pipe breaks after so many bytes.
    init(cutAfter: Int? = nil) {
        counts = Mutex(Counts(cutAfter: cutAfter))
        (origin, target) = (MemoryPipe(.origin), MemoryPipe(.target))
        origin.connect(target, self)
        target.connect(origin, self)
    }

    func bytes(from side: MountSide) -> Int { counts.withLock { $0.bytes[side, default: 0] } }
    var turns: Int { counts.withLock { $0.turns } }

    func reset() {
        counts.withLock { counts in
            counts.bytes = [:]
            counts.turns = 0
        }
    }

    /// Ends the pipe regularly.
    func close() {
        origin.finish(nil)
        target.finish(nil)
    }

    fileprivate func count(_ bytes: Int, from side: MountSide) throws {
        let isCut = counts.withLock { counts in
            counts.bytes[side, default: 0] += bytes
            if counts.last != side { counts.turns += 1 }
            counts.last = side
            return counts.cutAfter.map { counts.bytes.values.reduce(0, +) > $0 } ?? false
        }
        guard isCut else { return }
        origin.finish(Cut())
        target.finish(Cut())
        throw Cut()
    }
}

final class MemoryPipe: MountPipe {
    private let side: MountSide
    private let stream: AsyncThrowingStream<ByteBuffer, any Error>
    private let continuation: AsyncThrowingStream<ByteBuffer, any Error>.Continuation
    private let peer = Mutex<(MemoryPipe, MemoryWire)?>(nil)

    fileprivate init(_ side: MountSide) {
        self.side = side
        (stream, continuation) = AsyncThrowingStream.makeStream()
    }

    fileprivate func connect(_ other: MemoryPipe, _ wire: MemoryWire) { peer.withLock { $0 = (other, wire) } }

    var inbound: any AsyncSequence<ByteBuffer, any Error> & Sendable { stream }

    func send(_ bytes: ByteBuffer) async throws {
        guard let (peer, wire) = peer.withLock({ $0 }) else { return }
        try wire.count(bytes.readableBytes, from: side)
        peer.continuation.yield(bytes)
    }

    fileprivate func finish(_ error: (any Error)?) { continuation.finish(throwing: error) }
}
