import Fleet

@testable import Leases

/// A small world in which everything that may happen can be tried: nodes, a gateway and its ledger, an origin, messages that are
/// delayed, lost, repeated and late, and faults. The leases in it are the ones that Lighter runs on.
///
/// One exclusive workload. Time goes in ticks; a node that has to stop its work does so within `lag`.
struct World: Hashable {
    static let work = WorkloadID.random()
    static let origin = node(9)
    static let term: UInt64 = 2
    static let lag: UInt64 = 1
    static let margin: UInt64 = 2

    static func node(_ index: Int) -> NodeID {
        do { return try NodeID("n\(index)") } catch { fatalError("\(error)") }
    }

    /// What is wrong with a world on purpose.
    enum Flaw: CaseIterable {
        /// The work moves as soon as the last grant has run out: there is no time to stop.
        case noMargin
        /// A node counts from when an acknowledgement arrives.
        case countsFromReceipt
        /// An acknowledgement brings back a lease that has run out.
        case acknowledgementsRevive
        /// A node makes a container of any ticket.
        case takesOldTickets
        /// The gateway confirms a report while it is taking from that node.
        case confirmsWhileTaking
        /// A gateway that starts knows of no grants.
        case forgetsGrants
        /// The gateway replaces what a node that it does not hear holds, without waiting.
        case doesNotWait
        /// The engine starts its containers when the machine has booted.
        case engineStartsByItself
    }

    enum ToGateway: Hashable {
        case beat(sentAt: UInt64)
        case report(lapses: UInt64, holds: UInt64)
    }

    enum ToNode: Hashable {
        case acknowledged(sentAt: UInt64)
        case confirmed(lapses: UInt64)
        case retire(epoch: UInt64)
        case tell(epoch: UInt64)
    }

    struct Node: Hashable {
        var lease: NodeLease
        var isOn = true
        /// The epoch of the container that it has, zero for none; and whether that runs.
        var holds: UInt64 = 0
        var runs = false
        /// The session's two directions; messages are kept in order within one.
        var up: [ToGateway] = []
        var down: [ToNode] = []
    }

    struct Create: Hashable {
        var node: Int
        var epoch: UInt64
    }

    var now: UInt64 = 0
    var nodes: [Node]
    // The gateway's.
    var epoch: UInt64 = 1
    var target = 0
    var grants: [GrantedLease]
    var hears: [Bool]
    /// Where the workload goes that is being taken from its node.
    var taking: Int?
    /// Creates that the origin has sent, which may arrive at any time, and more than once.
    var creates: Set<Create> = [Create(node: 0, epoch: 1)]
    var faultsLeft: Int

    init(nodes count: Int, faults: Int) {
        nodes = (0..<count).map { _ in Node(lease: NodeLease(validUntil: Self.term, now: 0)) }
        nodes[0].lease.tell(Self.work, epoch: 1)
        nodes[0].holds = 1
        nodes[0].runs = true
        grants = Array(repeating: GrantedLease(runsOut: Self.term), count: count)
        hears = Array(repeating: true, count: count)
        faultsLeft = faults
    }

    /// What must never be otherwise: the work runs at most once.
    var isSound: Bool { nodes.count(where: \.runs) <= 1 }

    private var known: Workload {
        Workload(
            id: Self.work, tenant: .main, origin: Self.origin, target: Self.node(target), state: .running,
            version: Version(epoch: epoch, sequence: 0))
    }

    private func reported(_ holds: UInt64, by index: Int) -> Workload {
        var workload = known
        workload.target = Self.node(index)
        workload.version.epoch = holds
        return workload
    }

    // MARK: - What may happen next

    /// Every world that may come of this one in one step.
    func next(horizon: UInt64, epochs: UInt64, flaw: Flaw?) -> [World] {
        var found: [World] = []
        func add(_ change: (inout World) -> Void) {
            var world = self
            change(&world)
            if world != self { found.append(world) }
        }
        if now < horizon, !nodes.contains(where: { $0.isOverdue(at: now + 1) }) { add { $0.now += 1 } }
        for index in nodes.indices where nodes[index].isOn {
            let node = nodes[index]
            add { $0.nodes[index].enforce(at: now) }
            // One heartbeat under way on a session: it may be late by as much as there is time.
            if node.up.isEmpty, node.down.isEmpty {
                if node.holds == 0 {
                    add { $0.refresh(index) }
                } else {
                    add { $0.nodes[index].up.append(.beat(sentAt: now)) }
                }
            }
            if !node.up.isEmpty { add { $0.gatewayHears(index, flaw) } }
            if !node.down.isEmpty { add { $0.nodeHears(index, flaw) } }
            if node.holds > 0, !node.runs, node.lease.stands(at: now) { add { $0.nodes[index].runs = true } }
            if hears[index], index == target { add { $0.hears[index] = false } }
        }
        for create in creates { add { $0.arrive(create, flaw) } }
        if epoch < epochs { takes(flaw, add) }
        if faultsLeft > 0 { faults(flaw, add) }
        return found
    }

    /// A heartbeat of a node that has nothing, all at once: only those of the others may be late.
    private mutating func refresh(_ index: Int) {
        grants[index].grant(Self.term, at: now)
        hears[index] = true
        nodes[index].enforce(at: now)
        nodes[index].lease.renew(sentAt: now, term: Self.term)
        nodes[index].lease.confirm(reportedAfter: nodes[index].lease.lapses, at: now)
    }

    private mutating func gatewayHears(_ index: Int, _ flaw: Flaw?) {
        switch nodes[index].up[0] {
        case .beat(let sentAt):
            grants[index].grant(Self.term, at: now)
            hears[index] = true
            nodes[index].down.append(.acknowledged(sentAt: sentAt))
        case .report(let lapses, let holds):
            if taking != nil, target == index, flaw != .confirmsWhileTaking { return }
            hears[index] = true
            if holds > 0, Replacement.isOver(reported(holds, by: index), known: known) {
                nodes[index].down.append(.retire(epoch: epoch - 1))
            }
            nodes[index].down.append(.confirmed(lapses: lapses))
        }
        nodes[index].up.removeFirst()
    }

    private mutating func nodeHears(_ index: Int, _ flaw: Flaw?) {
        let message = nodes[index].down.removeFirst()
        nodes[index].enforce(at: now)
        switch message {
        case .acknowledged(let sentAt):
            nodes[index].lease.renew(sentAt: flaw == .countsFromReceipt ? now : sentAt, term: Self.term)
            let lease = nodes[index].lease
            guard lease.hasLapsed else { return }
            if flaw == .acknowledgementsRevive {
                nodes[index].lease.confirm(reportedAfter: lease.lapses, at: now)
            } else if !nodes[index].up.contains(.report(lapses: lease.lapses, holds: nodes[index].holds)) {
                nodes[index].up.append(.report(lapses: lease.lapses, holds: nodes[index].holds))
            }
        case .confirmed(let lapses): nodes[index].lease.confirm(reportedAfter: lapses, at: now)
        case .retire(let epoch):
            guard nodes[index].holds <= epoch else { return }
            nodes[index].holds = 0
            nodes[index].runs = false
        case .tell(let epoch): nodes[index].lease.tell(Self.work, epoch: epoch)
        }
    }

    private mutating func arrive(_ create: Create, _ flaw: Flaw?) {
        guard nodes[create.node].isOn, nodes[create.node].holds < create.epoch else { return }
        let lease = nodes[create.node].lease
        let isAdmitted =
            flaw == .takesOldTickets
            ? lease.stands(at: now) : lease.admits(Self.work, epoch: create.epoch, at: now)
        guard isAdmitted else { return }
        nodes[create.node].holds = create.epoch
        nodes[create.node].runs = true
    }

    /// The origin asks for another node; what the gateway decides, and that it is recorded, are two moments.
    private func takes(_ flaw: Flaw?, _ add: ((inout World) -> Void) -> Void) {
        if let new = taking {
            add { world in
                let former = world.target
                world.taking = nil
                world.epoch += 1
                world.target = new
                world.creates.insert(Create(node: new, epoch: world.epoch))
                if world.nodes[new].isOn { world.nodes[new].down.append(.tell(epoch: world.epoch)) }
                if world.hears[former] { world.nodes[former].down.append(.retire(epoch: world.epoch - 1)) }
            }
            return
        }
        let margin = flaw == .noMargin ? 0 : Self.margin
        let lease = flaw == .doesNotWait ? GrantedLease(runsOut: 0) : grants[target]
        let verdict = Replacement.judge(
            epoch: epoch, known: known, isHeard: hears[target], lease: lease,
            margin: flaw == .doesNotWait ? 0 : margin, now: now)
        guard verdict == .granted else { return }
        for new in nodes.indices where new != target && hears[new] { add { $0.taking = new } }
    }

    private func faults(_ flaw: Flaw?, _ add: ((inout World) -> Void) -> Void) {
        for index in nodes.indices {
            let node = nodes[index]
            if node.isOn {
                // The session breaks: what is under way on it is lost, and the node says anew what it has.
                add { world in
                    world.faultsLeft -= 1
                    world.nodes[index].beginSession()
                }
                // The power goes.
                add { world in
                    world.faultsLeft -= 1
                    world.nodes[index].isOn = false
                    world.nodes[index].runs = false
                    world.nodes[index].up = []
                    world.nodes[index].down = []
                }
                // Its daemon restarts; containers and the watchdog do not.
                add { world in
                    world.faultsLeft -= 1
                    world.nodes[index].lease = NodeLease(
                        validUntil: node.lease.hasLapsed ? 0 : node.lease.validUntil, now: now)
                    if world.nodes[index].lease.hasLapsed { world.nodes[index].runs = false }
                    world.nodes[index].beginSession()
                }
            } else {
                add { world in
                    world.nodes[index].isOn = true
                    world.nodes[index].lease = NodeLease(now: now)
                    world.nodes[index].runs = flaw == .engineStartsByItself && node.holds > 0
                    world.nodes[index].beginSession()
                }
            }
        }
        // The gateway restarts: its ledger is all that is left.
        add { world in
            world.faultsLeft -= 1
            world.taking = nil
            for index in world.nodes.indices {
                world.grants[index] = GrantedLease(runsOut: flaw == .forgetsGrants ? 0 : now + Self.term)
                world.hears[index] = false
                if world.nodes[index].isOn { world.nodes[index].beginSession() }
            }
        }
    }
}

extension World.Node {
    /// Whether work runs on that should have been stopped before `time`.
    func isOverdue(at time: UInt64) -> Bool {
        isOn && runs && (lease.hasLapsed || time > lease.validUntil + World.lag)
    }

    mutating func enforce(at now: UInt64) {
        if lease.check(at: now) || lease.hasLapsed { runs = false }
    }

    mutating func beginSession() {
        up = [.report(lapses: lease.lapses, holds: holds)]
        down = []
    }
}
