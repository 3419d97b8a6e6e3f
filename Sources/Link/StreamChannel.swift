import NIOCore
import Synchronization

/// Asks a stream's channel, as an outbound user event, to end both directions at once: the peer sees a reset.
package struct ResetStream: Sendable, Hashable {
    package init() {}
}

/// One stream of a link as a NIO channel of its own, on the link's event loop.
///
/// Half-closure is allowed unless the option says otherwise; the window is given back as `channelRead` passes bytes on.
/// `close()` sends what was written, then FIN, even though the channel is inactive at once.
final class StreamChannel: Channel, @unchecked Sendable {  // unchecked: what is not atomic is touched on the loop only
    /// Delivered per `read()` before `channelReadComplete`.
    static let readLimit = 128 << 10

    enum Phase {
        case initializing
        case active
        case closed
    }

    let allocator: ByteBufferAllocator
    let eventLoop: any EventLoop
    let parent: (any Channel)?
    let closePromise: EventLoopPromise<Void>
    private let active = Atomic<Bool>(false)
    private let writable = Atomic<Bool>(true)
    private var madePipeline: ChannelPipeline?

    // Touched on the event loop only.
    var link: LinkHandler?
    /// 0 until the stream is opened.
    var id: UInt32
    var phase = Phase.initializing
    var input = StreamInput()
    var output = StreamOutput()
    var autoRead = true
    var allowRemoteHalfClosure = true
    /// A `read()` that has not been answered.
    var demand = false
    /// Answering one: `channelReadComplete` is due.
    var answering = false
    var answered = 0
    /// Inside `drain` or a delivery: a further `read()` is only noted.
    var busy = false
    /// FIN has come.
    var ended = false
    var endDelivered = false
    var outputClosed = false
    var endSent = false
    var outputPromise: EventLoopPromise<Void>?

    init(link: LinkHandler, parent: any Channel, id: UInt32) {
        self.link = link
        self.parent = parent
        self.id = id
        allocator = parent.allocator
        eventLoop = parent.eventLoop
        closePromise = parent.eventLoop.makePromise()
        madePipeline = ChannelPipeline(channel: self)
    }

    var pipeline: ChannelPipeline {
        guard let madePipeline else { preconditionFailure("made in init, before anybody could ask") }
        return madePipeline
    }

    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { parent?.localAddress }
    var remoteAddress: SocketAddress? { parent?.remoteAddress }
    var isWritable: Bool { writable.load(ordering: .relaxed) }
    var isActive: Bool { active.load(ordering: .relaxed) }
    var _channelCore: any ChannelCore { self }

    /// The stream exists: tells the pipeline, and starts reading.
    func activate() {
        guard phase == .initializing else { return }
        phase = .active
        active.store(true, ordering: .relaxed)
        // What the initializer wrote is counted before the pipeline can write more.
        if output.flushedBytes > 0 { link?.queue(self, bytes: output.flushedBytes) }
        completeEmptyWrites()
        if outputClosed { link?.finish(self) }
        pipeline.syncOperations.fireChannelRegistered()
        pipeline.syncOperations.fireChannelActive()
        if autoRead, phase == .active { pipeline.syncOperations.read() }
    }

    /// Empty writes at the head complete with the link's next batch, in their order.
    func completeEmptyWrites() {
        guard phase != .initializing, output.flushedBytes == 0, let link else { return }
        output.take(0, piece: { _ in }, promise: { link.complete($0) })
    }

    func setWritable(_ now: Bool) {
        writable.store(now, ordering: .relaxed)
        if phase == .active { pipeline.syncOperations.fireChannelWritabilityChanged() }
    }

    /// Ends the channel for its owner. What is in `output` stays until the link has sent it, or given it up.
    func becomeClosed(error: (any Error)?) {
        guard phase != .closed else { return }
        let wasActive = phase == .active
        phase = .closed
        active.store(false, ordering: .relaxed)
        input.removeAll()
        if let error, wasActive { pipeline.syncOperations.fireErrorCaught(error) }
        if wasActive {
            pipeline.syncOperations.fireChannelInactive()
            pipeline.syncOperations.fireChannelUnregistered()
        }
        eventLoop.execute {
            self.removeHandlers(pipeline: self.pipeline)
            self.link = nil
            self.closePromise.succeed(())
        }
    }

    /// Fails what was written and not sent.
    func giveUpOutput(_ error: any Error) {
        outputClosed = true
        let promises = output.removeAll()
        let closing = outputPromise
        outputPromise = nil
        promises.forEach { $0.fail(error) }
        closing?.fail(error)
    }
}
