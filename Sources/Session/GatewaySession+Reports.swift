import FoundationEssentials
package import Fleet
import Link
import Logging
import NIOCore
import Synchronization
import Wire

extension GatewaySession {
    package func report(_ workload: Workload) {
        let delay = state.withLock { state -> TimeAmount? in
            state.outbox.record(workload)
            guard state.connection != nil, !state.outbox.isFlushScheduled else { return nil }
            state.outbox.isFlushScheduled = true
            return state.outbox.isIdle ? .zero : state.outbox.pause
        }
        guard let delay else { return }
        if delay == .zero { loop.execute { self.flush() } } else { loop.scheduleTask(in: delay) { self.flush() } }
    }

    package func inventoryIsComplete() {
        let isFirst = state.withLock { state in
            defer { state.outbox.complete() }
            return !state.outbox.isComplete
        }
        if isFirst { loop.execute { self.sendEverything() } }
    }

    package var clockLead: Double? { state.withLock { $0.clockLead } }

    /// Whether the gateway has acknowledged every report.
    package var isSettled: Bool { state.withLock { $0.outbox.isSettled } }

    private func flush() {
        let (connection, reports) = state.withLock { state in
            state.outbox.isFlushScheduled = false
            return (state.connection, state.connection == nil ? [] : state.outbox.news(now: .now()))
        }
        send(reports, on: connection)
    }

    private func sendEverything() {
        let (connection, reports) = state.withLock { state in
            (state.connection, state.connection == nil ? [] : state.outbox.everything(now: .now()))
        }
        send(reports, on: connection)
    }

    private func send(_ reports: [Outbox.Report], on connection: Connection?) {
        guard let connection else { return }
        for report in reports {
            var message = Lighter_V1_Report()
            message.sequence = report.sequence
            message.full = report.isFull
            message.workloads = report.workloads.map(Lighter_V1_WorkloadMessage.init)
            connection.control.send(.report(message))
        }
    }

    // MARK: - Beginning and beating, on the loop

    /// The first messages on a fresh control stream: who this is, and all it has.
    func introduce(_ control: ControlStream, session: String) {
        var hello = Lighter_V1_Hello()
        let node = describe(control.link)
        hello.node = Lighter_V1_NodeMessage(node)
        hello.session = session
        hello.version = configuration.version
        hello.unpacks = true
        hello.knowsItself = true
        (hello.fleetEpoch, hello.fleetRevision) = state.withLock { state in
            state.assembling = nil
            return (state.fleetEpoch, state.snapshot.revision)
        }
        control.send(.hello(hello))
        let reports = state.withLock { state -> [Outbox.Report] in
            state.connection = Connection(control: control)
            state.lastHeartbeatAck = .now()
            state.confirming = nil
            state.telling.begin(with: node)
            state.outbox.startOver()
            return state.outbox.everything(now: .now())
        }
        send(reports, on: Connection(control: control))
    }

    /// Has the gateway answer a heartbeat now, on the loop.
    package func beatNow() {
        if let control = state.withLock({ $0.connection?.control }) { beat(on: control) }
    }

    func beat(on control: ControlStream) {
        let node = describe(control.link)
        let now = NIODeadline.now()
        let asks = !(configuration.leases()?.isIdle ?? true)
        let (connection, reports, beat, isSilent) = state.withLock { state in
            let patience = max(.seconds(5), TimeAmount.nanoseconds(Int64((state.roundTrip ?? 0) * 8e9)))
            state.outbox.resend(sentBefore: now - patience)
            // All news goes first, so that the checksum is over what the gateway will have seen by then.
            let reports = state.outbox.news(now: now, isUrgent: true)
            let silence = max(.seconds(10), state.heartbeat * Self.silentBeats)
            let isSilent = now - state.lastHeartbeatAck > silence
            state.snapshot.note(node.measures, of: node.id)
            let fingerprint = state.outbox.fingerprint
            let beat = state.telling.next(
                node, checksum: fingerprint.checksum, count: UInt64(fingerprint.count), asks: asks)
            return (state.connection, reports, beat, isSilent)
        }
        guard let connection, connection.control === control else { return }
        if isSilent {
            logger.warning("the gateway stopped answering heartbeats; dialling it again")
            return control.link.close(nil)
        }
        send(reports, on: connection)
        var heartbeat = beat
        if !heartbeat.quiet { heartbeat.sentAt = BootClock.now() }
        control.send(.heartbeat(state.withLock { $0.telling.shortest(heartbeat) }))
    }

    /// Heartbeats without an answer to any after which the gateway is gone, whatever its link says.
    private static let silentBeats = 11
    /// Has the gateway know of this node what small changes heartbeats have kept back, before what is sent next.
    func tellAll() {
        loop.execute {
            guard let control = self.state.withLock({ $0.connection?.control }) else { return }
            let node = self.describe(control.link)
            let rest = self.state.withLock { $0.telling.rest(node) }
            if let rest { control.send(.heartbeat(rest)) }
        }
    }

    private func describe(_ link: LinkConnection) -> Node {
        var node = configuration.describeNode()
        node.id = self.node
        node.tenant = tenant
        if !configuration.advertisedAddresses.isEmpty { node.addresses = configuration.advertisedAddresses }
        let heartbeats = state.withLock { $0.roundTrip }
        let pings = link.rtt.map { Double($0.components.seconds) + Double($0.components.attoseconds) / 1e18 }
        // Pings come seldom where heartbeats do.
        node.measures.gatewayRTT = heartbeats ?? pings ?? 0
        node.measures.bandwidth = link.throughput
        return node
    }

    // MARK: - What the gateway says, on the loop

    func receive(_ body: ControlStream.Body, on control: ControlStream, welcomed: EventLoopPromise<Void>) {
        switch body {
        case .welcome(let welcome):
            take(welcome, from: control)
            welcomed.succeed()
        case .reportAck(let ack): acknowledge(ack.sequence, from: control)
        case .heartbeatAck(let ack): take(ack, from: control)
        case .fleetPush(let push):
            do {
                let push = try push.unpacked()
                if take(push) { settled.succeed() }
                askLost(push)
            } catch {
                // A part that is missed is a node that is not known: the next connection begins anew.
                logger.warning("the gateway's word on the fleet is lost", metadata: ["error": "\(error)"])
                control.link.close(nil)
            }
        case .ticketPush(let push):
            if isCurrent(control) { configuration.ticketArrived(Array(push.ticket)) }
        case .endPush(let push):
            if let end = try? push.domain() { configuration.workloadEnded(end) }
        case .retire(let retire): take(retire, from: control)
        case .probePush(let push): probe(push, for: control)
        case .failure(let failure):
            logger.warning("the gateway says: \(failure.message)", metadata: ["code": "\(failure.code)"])
            welcomed.fail(SessionError(failure))
        default: break
        }
    }

    /// Says what is to be found at a lost node's addresses.
    private func probe(_ push: Lighter_V1_ProbePush, for control: ControlStream) {
        loop.makeFutureWithTask { [loop] in await Probe.look(at: push.addresses, on: loop) }.whenSuccess { finding in
            var report = Lighter_V1_ProbeReport()
            report.node = push.node
            report.finding = finding.rawValue
            control.send(.probeReport(report))
        }
    }

    /// Links with nodes that the gateway does not hear are asked whether they stand.
    private func askLost(_ push: Lighter_V1_FleetPush) {
        for message in push.nodes where message.state == NodeState.unreachable.rawValue {
            guard let node = try? NodeID(message.id) else { continue }
            links.ask(node)
        }
    }

    /// Returns whether the fleet is known from here on: of a full push in parts, that is with the last one.
    private func take(_ push: Lighter_V1_FleetPush) -> Bool {
        state.withLock { state in
            if push.full { state.assembling = FleetSnapshot() }
            guard var fresh = state.assembling else {
                _ = push.apply(to: &state.snapshot)
                return true
            }
            // Moved out and back, so that it is not copied.
            state.assembling = nil
            _ = push.apply(to: &fresh)
            guard !push.more else {
                state.assembling = fresh
                return false
            }
            state.snapshot = fresh
            state.fleetEpoch = state.welcomeEpoch
            return true
        }
    }

    private func take(_ welcome: Lighter_V1_Welcome, from control: ControlStream) {
        let off = Date().timeIntervalSince1970 - welcome.now
        let warns = state.withLock { state -> Bool in
            state.connection?.isWelcome = true
            state.telling.isLean = welcome.leanHeartbeats
            state.telling.isTerse = welcome.terseHeartbeats
            state.welcomeEpoch = welcome.fleetEpoch
            if welcome.hasPolicy, let policy = try? welcome.policy.domain() { state.gatewayPolicy = policy }
            if (0.01...3600).contains(welcome.heartbeatSeconds) {
                state.heartbeat = .nanoseconds(Int64(welcome.heartbeatSeconds * 1e9))
            }
            if welcome.now > 0 { state.clockLead = off }
            let isOff = welcome.now > 0 && off.magnitude > 60
            defer { state.saidClockIsOff = isOff }
            return isOff && !state.saidClockIsOff
        }
        if welcome.leanHeartbeats {
            let beat = state.withLock { $0.heartbeat }
            control.link.expectWord(every: HeartbeatTelling.wordIsDue(heartbeat: .nanoseconds(beat.nanoseconds)))
        }
        if warns {
            logger.warning(
                """
                this machine's clock is \(Int(min(off.magnitude, 1e12))) seconds \(off > 0 ? "ahead of" : "behind") the \
                gateway's; certificates and tickets may be refused: set both by NTP
                """)
        }
    }

    private func acknowledge(_ sequence: UInt64, from control: ControlStream) {
        let roundTrip = control.link.rtt.map(TimeAmount.init) ?? .zero
        let (hasNews, confirmed) = state.withLock { state -> (Bool, LeaseMark?) in
            state.outbox.acknowledge(sequence, now: .now(), roundTrip: roundTrip)
            // With nothing under way there is no company to wait for.
            let hasNews = state.outbox.hasNews && (state.outbox.isIdle || !state.outbox.isFlushScheduled)
            guard let confirming = state.confirming, confirming.report == sequence else { return (hasNews, nil) }
            state.confirming = nil
            return (hasNews, confirming.mark)
        }
        if let confirmed, isCurrent(control) { configuration.leases()?.confirm(confirmed) }
        if hasNews { flush() }
    }

    private func take(_ ack: Lighter_V1_HeartbeatAck, from control: ControlStream) {
        let now = NIODeadline.now()
        let clock = BootClock.now()
        // A time of before the boot, or of none, is not this node's own.
        let isOwn = ack.sentAt > 0 && ack.sentAt <= clock
        state.withLock { state in
            state.lastHeartbeatAck = now
            if (0.001...3600).contains(ack.leaseSeconds) { state.leaseTerm = .seconds(ack.leaseSeconds) }
            guard isOwn else { return }
            let sample = Double(clock - ack.sentAt) / 1e9
            state.roundTrip = state.roundTrip.map { $0 + (sample - $0) / 8 } ?? sample
        }
        if isOwn, isCurrent(control), let leases = configuration.leases(), (0.001...3600).contains(ack.leaseSeconds) {
            leases.renew(sentAt: ack.sentAt, term: .nanoseconds(Int64(ack.leaseSeconds * 1e9)))
            if !leases.isIdle, leases.awaitsConfirmation, askToConfirm(leases) { return }
        }
        if ack.wantFullReport { sendEverything() }
    }

    /// Reports all that is here, so that the gateway takes away what is not this node's any more.
    ///
    /// Only after a heartbeat's answer: from when the gateway has that heartbeat it gives nothing of this node's to others. A
    /// report from before could be answered, and its work be given away behind that, without a word to this node.
    /// - Returns: false where not all of it is known yet, or where such a report is on its way.
    private func askToConfirm(_ leases: any LeaseHolder) -> Bool {
        let now = NIODeadline.now()
        let (connection, reports) = state.withLock { state -> (Connection?, [Outbox.Report]) in
            if let confirming = state.confirming, now - confirming.sent < Self.confirmationPatience { return (nil, []) }
            guard state.connection != nil, state.outbox.isComplete else { return (nil, []) }
            let reports = state.outbox.everything(now: now)
            guard let report = reports.first, report.isFull else { return (nil, []) }
            state.confirming = Confirmation(report: report.sequence, mark: leases.mark(), sent: now)
            return (state.connection, reports)
        }
        send(reports, on: connection)
        return connection != nil
    }

    /// A report that is not acknowledged by then is sent once more.
    private static let confirmationPatience = TimeAmount.seconds(5)

    private func take(_ retire: Lighter_V1_Retire, from control: ControlStream) {
        guard isCurrent(control), let leases = configuration.leases() else { return }
        guard let workload = try? WorkloadID(retire.workload) else {
            return logger.warning(
                "the gateway retires what is no workload", metadata: ["workload": "\(retire.workload)"])
        }
        leases.retire(workload, epoch: retire.epoch, reason: retire.reason)
    }

    /// What a gateway says on a stream that another has followed is no news.
    private func isCurrent(_ control: ControlStream) -> Bool {
        state.withLock { $0.connection?.control === control }
    }
}
