import Fleet
import FoundationEssentials
import Link
import NIOCore
import Session
import Synchronization
import Wire

/// What a simulated node keeps while it is not connected.
final class SimulatedMemory: Sendable {
    struct State: Sendable {
        var tasks: SimulatedTasks
        /// How much of the fleet it has been told.
        var epoch: UInt64 = 0
        var revision: UInt64 = 0
    }

    let node: NodeID
    let state: Mutex<State>

    init(node: NodeID, tasks: SimulatedTasks) {
        self.node = node
        state = Mutex(State(tasks: tasks))
    }
}

/// The node's end of a control stream: says hello, reports what it has, beats, and runs its share of the tasks.
///
/// Pushes are counted, not read: ten thousand readers on this machine would be what is measured.
final class SimulatedControl: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Fired at the stream: the tasks begin.
    struct Begin: Sendable {}

    /// Reports that may be unacknowledged at once.
    private static let window = 16

    private let link: LinkConnection
    private let memory: SimulatedMemory
    private let tally: SimulationTally
    private let heartbeat: TimeAmount
    /// Whether its load is another with every heartbeat.
    private let isRestless: Bool
    /// Done once the gateway has acknowledged all that the node has.
    private let settled: EventLoopPromise<Void>
    /// Done once every task is.
    private let finished: EventLoopPromise<Void>
    private var unread = ByteBuffer()
    private var beats: RepeatedTask?
    private var sent: [UInt64: NIODeadline] = [:]
    private var pace = ReportPace()
    private var isReportDue = false
    private var inventory: UInt64 = 0
    private var hasBegun = false
    private var node: Node
    private var telling = HeartbeatTelling()

    init(
        link: LinkConnection, memory: SimulatedMemory, tally: SimulationTally, heartbeat: TimeAmount, isRestless: Bool,
        settled: EventLoopPromise<Void>, finished: EventLoopPromise<Void>
    ) {
        self.link = link
        self.memory = memory
        self.tally = tally
        self.heartbeat = heartbeat
        self.isRestless = isRestless
        self.settled = settled
        self.finished = finished
        var node = Node(id: memory.node, bootID: "simulated", addresses: ["192.0.2.1:7701"], engineVersion: "28.0")
        node.engineAPIVersion = "1.48"
        node.capacity = Resources(cpus: 4, memory: .gibibytes(8))
        node.measures.diskFree = .gibibytes(100)
        self.node = node
    }

    func channelActive(context: ChannelHandlerContext) { introduce(context) }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { introduce(context) }
    }

    func channelInactive(context: ChannelHandlerContext) { end() }
    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The simulation cuts links itself.
        if (error as? LinkError)?.code != .closed { tally.fail("\(error)") }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Begin {
            hasBegun = true
            report(context)
        }
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if unread.readableBytes == 0 { unread = bytes } else { unread.writeBuffer(&bytes) }
        do {
            while let frame = try SimulatedFrame.next(&unread) { try take(frame, context) }
        } catch {
            tally.fail("\(error)")
            context.close(promise: nil)
        }
    }

    private func end() {
        beats?.cancel()
        let error = SessionError(.unavailable, "the gateway closed the connection")
        settled.fail(error)
        if hasBegun { finished.fail(error) }
    }

    // MARK: - Saying

    private func introduce(_ context: ChannelHandlerContext) {
        guard inventory == 0 else { return }
        inventory = UInt64(Date().timeIntervalSince1970 * 1e6)
        var hello = Lighter_V1_Hello()
        hello.node = Lighter_V1_NodeMessage(node)
        hello.session = memory.node.name
        hello.version = "simulated"
        hello.unpacks = true
        hello.knowsItself = true
        (hello.fleetEpoch, hello.fleetRevision) = memory.state.withLock { ($0.epoch, $0.revision) }
        send(.hello(hello), context)
        telling.begin(with: node)
        var report = Lighter_V1_Report()
        report.sequence = inventory
        report.full = true
        send(.report(report), context)
        // The first beat is drawn at random: real nodes do not beat in step.
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        beats = context.eventLoop.scheduleRepeatedTask(
            initialDelay: .nanoseconds(.random(in: 0..<max(1, heartbeat.nanoseconds))), delay: heartbeat
        ) { _ in
            let (control, context) = bound.value
            control.sendBeat(context)
        }
    }

    /// Says what a real node would: of one at rest next to nothing; one at work wants an answer, as it has leases.
    private func sendBeat(_ context: ChannelHandlerContext) {
        let (checksum, count) = memory.state.withLock { ($0.tasks.checksum.value, UInt64($0.tasks.count)) }
        node.measures.cpu = .random(in: isRestless ? 0.1...0.9 : 0.03...0.05)
        node.measures.memory = .random(in: isRestless ? 0.3...0.5 : 0.3...0.302)
        var beat = telling.next(node, checksum: checksum, count: count, asks: isRestless)
        if !beat.quiet { beat.sentAt = NIODeadline.now().uptimeNanoseconds }
        send(.heartbeat(telling.shortest(beat)), context)
        tally.note { $0.heartbeats += 1 }
    }

    /// Reports as a real node does: at once where nothing is under way, else with what comes within its pause.
    private func report(_ context: ChannelHandlerContext) {
        let (hasNews, isDone) = memory.state.withLock { ($0.tasks.hasNews, $0.tasks.isDone) }
        if isDone { finished.succeed() }
        guard hasNews else { return }
        guard !sent.isEmpty else { return reportAll(context) }
        guard !isReportDue else { return }
        isReportDue = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: pace.pause) {
            let (control, context) = bound.value
            control.isReportDue = false
            guard context.channel.isActive else { return }
            // With too many unacknowledged it waits for one of them.
            if control.sent.count < Self.window { control.reportAll(context) }
        }
    }

    private func reportAll(_ context: ChannelHandlerContext) {
        while let report = memory.state.withLock({ $0.tasks.next() }) {
            sent[report.sequence] = .now()
            send(.report(report), context)
        }
    }

    private func send(_ body: Lighter_V1_Envelope.OneOf_Body, _ context: ChannelHandlerContext) {
        var envelope = Lighter_V1_Envelope()
        envelope.body = body
        do {
            let buffer = context.channel.allocator.buffer(bytes: try Framing.encode(envelope))
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        } catch {
            tally.fail("\(error)")
        }
    }

    // MARK: - Hearing

    private func take(_ frame: SimulatedFrame, _ context: ChannelHandlerContext) throws {
        switch frame {
        case .push(let bytes, let revision, let isLast):
            tally.note { $0.pushedBytes += bytes }
            // Of a first push in parts, the last one makes the revision known.
            if isLast { memory.state.withLock { $0.revision = revision } }
        case .message(.welcome(let welcome)?):
            telling.isLean = welcome.leanHeartbeats
            telling.isTerse = welcome.terseHeartbeats
            if welcome.leanHeartbeats {
                link.expectWord(every: HeartbeatTelling.wordIsDue(heartbeat: .nanoseconds(heartbeat.nanoseconds)))
            }
            memory.state.withLock { state in
                if state.epoch != welcome.fleetEpoch { state.revision = 0 }
                state.epoch = welcome.fleetEpoch
            }
        case .message(.reportAck(let ack)?):
            if ack.sequence == inventory { return settled.succeed() }
            guard let began = sent.removeValue(forKey: ack.sequence) else { return }
            let updates = memory.state.withLock { $0.tasks.acknowledge(ack.sequence) }
            let time = NIODeadline.now() - began
            // There is no way between simulated nodes and the gateway.
            pace.acknowledged(after: time, roundTrip: .zero)
            tally.note { figures in
                figures.updates += updates
                figures.reports += 1
                figures.acknowledged.add(seconds: Double(time.nanoseconds) / 1e9)
            }
            report(context)
        case .message(.heartbeatAck(let ack)?):
            let delay = Double(NIODeadline.now().uptimeNanoseconds &- ack.sentAt) / 1e9
            tally.note { $0.answered.add(seconds: delay) }
            if ack.wantFullReport, sent.isEmpty { tally.fail("the gateway asked for a full report") }
        case .message(.failure(let failure)?):
            tally.fail(failure.message)
            settled.fail(SessionError(failure))
        case .message: break
        }
    }
}
