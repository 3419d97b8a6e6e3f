import Fleet
import NIOCore

/// What the gateway believes of every node, and what leases hold of them. Pure: times come in as arguments.
struct FleetView {
    struct Entry {
        /// Behind one reference: entries are copied at every heartbeat, and nodes have many parts.
        private final class Box: Sendable {
            let node: Node
            init(_ node: Node) { self.node = node }
        }

        private var box: Box
        var node: Node {
            get { box.node }
            set { box = Box(newValue) }
        }
        /// The view's revision when something of it changed last.
        var revision: UInt64 = 0
        /// The view's revision when more than its measures changed last.
        var booked: UInt64 = 0
        /// The view's revision when more than its load changed last.
        var stated: UInt64 = 0
        /// `node` as pushes carry it; nil until the first that does.
        var encoded: [UInt8]?
        /// What the node says of itself: `.ready` or `.engineDown`.
        var reported: NodeState
        var lastHeard: NIODeadline
        var isConnected: Bool
        /// Whether this gateway has heard it at all.
        var wasHeard = false
        /// Who was asked about it, while it is lost.
        var asked: Asking?
        /// Its measures as others are told them.
        var told = Measures()
        /// How late its heartbeats have been lately.
        var jitter = Jitter()

        init(node: Node, reported: NodeState, lastHeard: NIODeadline, isConnected: Bool) {
            box = Box(node)
            self.reported = reported
            self.lastHeard = lastHeard
            self.isConnected = isConnected
            wasHeard = isConnected
        }

        /// It beat as it should, and is what it was said to be. False, and nothing, where there is more to it.
        fileprivate mutating func beat(now: NIODeadline, expected: TimeAmount) -> Bool {
            guard isConnected, wasHeard, asked == nil, node.state == reported, node.opinion == nil else { return false }
            jitter.observe(now - lastHeard, expected: expected)
            lastHeard = now
            return true
        }
    }

    /// Nodes that were asked about a lost one, and whether one of them has answered.
    struct Asking {
        var nodes: Set<NodeID>
        var at: NIODeadline
        var hasAnswer = false
    }

    /// By how much heartbeats come later than they should, in nanoseconds: soon learnt, slowly forgotten. One that comes early,
    /// as the first after a Hello or one with news, says nothing.
    struct Jitter {
        private(set) var lateness = 0.0

        mutating func observe(_ gap: TimeAmount, expected: TimeAmount) {
            // After a silence of three it was not late but lost.
            guard gap * 2 < expected * 7 else { return }
            let late = Double(max(0, gap.nanoseconds - expected.nanoseconds))
            lateness += (late - lateness) / (late > lateness ? 2 : 16)
        }
    }

    /// A workload that holds capacity.
    struct Lease {
        var tenant: TenantID
        var origin: NodeID
        var target: NodeID
        var epoch: UInt64
        var resources: Resources
        var isPending: Bool
        var createdAt: Double
    }

    private(set) var entries: [NodeID: Entry] = [:]
    /// Those that are unreachable.
    private(set) var unreachable: Set<NodeID> = []
    private(set) var leases: [WorkloadID: Lease] = [:]
    private var leasesByNode: [NodeID: [WorkloadID: Resources]] = [:]
    /// How many leases each origin has at each target.
    private var targetsByOrigin: [NodeID: [NodeID: Int]] = [:]
    private(set) var logs: [TenantID: StateLog] = [:]
    /// As the last check had it.
    private var heartbeat = TimeAmount.seconds(1)
    /// Grows with every change, also across restarts: it begins at the microseconds since 1970.
    private(set) var revision: UInt64
    /// Whether a node has been lost since this was last set to false.
    var hasNewLosses = false
    /// What the clock showed, in seconds since 1970, when the monotonic one was at its zero.
    private let zero: Double

    init(nodes: [Node], workloads: [Workload], since1970: Double, now: NIODeadline) {
        revision = UInt64(max(0, since1970) * 1_000_000)
        zero = since1970 - Double(now.uptimeNanoseconds) / 1e9
        for var node in nodes {
            node.state = .unreachable
            node.reserved = .none
            change(Entry(node: node, reported: .ready, lastHeard: now, isConnected: false), .state)
        }
        for workload in workloads { hold(workload) }
    }

    // MARK: - Reading

    subscript(id: NodeID) -> Node? { entries[id]?.node }

    /// The nodes of a tenant; of all tenants for nil.
    func snapshot(of tenant: TenantID?) -> FleetSnapshot {
        let nodes = entries.values.lazy.map(\.node).filter { tenant == nil || $0.tenant == tenant }
        return FleetSnapshot(revision: revision, nodes: nodes.sorted { $0.id < $1.id })
    }

    /// Those of a tenant of which anything changed after a revision.
    func changed(in tenant: TenantID, since known: UInt64) -> [NodeID] {
        entries.filter { $0.value.revision > known && $0.value.node.tenant == tenant }.map(\.key)
    }

    /// The revision at which a node changed last; 0 for one that is not known.
    func changedAt(_ id: NodeID) -> UInt64 { entries[id]?.revision ?? 0 }
    /// The same of more than its measures.
    func bookedAt(_ id: NodeID) -> UInt64 { entries[id]?.booked ?? 0 }
    /// The revision at which a state changed last in a tenant.
    func lastStated(in tenant: TenantID) -> UInt64 { logs[tenant]?.last ?? 0 }
    func firstStated(after known: UInt64, in tenant: TenantID) -> UInt64? {
        logs[tenant]?.after(known).first { _ in true }?.revision
    }

    /// The workloads that hold capacity at a node.
    func leases(at node: NodeID) -> [WorkloadID] { leasesByNode[node].map { Array($0.keys) } ?? [] }

    /// Where workloads of an origin hold capacity.
    func targets(of origin: NodeID) -> Dictionary<NodeID, Int>.Keys? { targetsByOrigin[origin]?.keys }

    /// A node as pushes carry it, encoded once for all who are told of this revision of it.
    mutating func encoded(_ id: NodeID) -> [UInt8] {
        guard let entry = entries[id] else { return [] }
        if let bytes = entry.encoded { return bytes }
        let bytes = PushFrame.encode(entry.node)
        entries[id]?.encoded = bytes
        return bytes
    }

    // MARK: - Nodes

    /// A node connected, or beat. Returns whether more than its measures changed.
    mutating func heard(_ node: Node, now: NIODeadline) -> Bool {
        let old = entries[node.id]
        var fresh = node
        let reported: NodeState = node.state == .engineDown ? .engineDown : .ready
        fresh.state = reported
        fresh.reserved = reserved(at: node.id)
        // Not for the node to say.
        fresh.drainedSince = old?.node.drainedSince
        fresh.drainsWithState = old?.node.drainsWithState ?? false
        fresh.losses = old?.node.losses
        fresh.opinion = nil
        guard let old else {
            change(
                Entry(node: fresh, reported: reported, lastHeard: now, isConnected: true), .state)
            return true
        }
        var entry = old
        entry.reported = reported
        if old.isConnected {
            entry.jitter.observe(now - old.lastHeard, expected: heartbeat)
        } else {
            entry.jitter = Jitter()
        }
        entry.lastHeard = now
        entry.isConnected = true
        entry.asked = nil
        entry.wasHeard = true
        guard fresh != old.node else {
            entries[node.id] = entry
            return false
        }
        entry.node = fresh
        let isBooking = fresh.reserved != old.node.reserved
        let isLoad = isBooking || !fresh.measures.areNear(old.told)
        fresh.measures = old.node.measures
        fresh.reserved = old.node.reserved
        let isState = fresh != old.node
        guard isState || isLoad else {
            // Nobody would decide otherwise for it.
            entries[node.id] = entry
            return false
        }
        change(entry, isState ? .state : isBooking ? .reservation : .measures)
        return isState
    }

    /// A node beat, and had nothing to say. False where it has to be looked at as one that has.
    mutating func heardAgain(_ id: NodeID, now: NIODeadline) -> Bool {
        guard let index = entries.index(forKey: id) else { return false }
        return entries.values[index].beat(now: now, expected: heartbeat)
    }

    /// A node as it has said itself to be.
    func said(_ id: NodeID) -> Node? {
        guard let entry = entries[id] else { return nil }
        var node = entry.node
        node.state = entry.reported
        return node
    }

    /// A machine joined: it is known from here on.
    mutating func joined(_ node: Node, now: NIODeadline) {
        guard entries[node.id] == nil else { return }
        change(Entry(node: node, reported: .ready, lastHeard: now, isConnected: false), .state)
    }

    /// The node's link is gone; it becomes unreachable unless it is back within one heartbeat.
    mutating func lost(_ id: NodeID, now: NIODeadline) {
        guard entries[id]?.isConnected == true else { return }
        entries[id]?.isConnected = false
        entries[id]?.lastHeard = now
    }

    /// From when on a node takes no new work, in seconds since 1970; nil: it does.
    /// - Parameter withState: what leaves it takes along what it wrote.
    mutating func drain(_ id: NodeID, since: Double?, withState: Bool = false) {
        guard var entry = entries[id], (entry.node.drainedSince, entry.node.drainsWithState) != (since, withState)
        else { return }
        (entry.node.drainedSince, entry.node.drainsWithState) = (since, withState)
        change(entry, .state)
    }

    /// What an earlier gateway has counted.
    mutating func restore(_ losses: RecentLosses, of id: NodeID) {
        guard var entry = entries[id] else { return }
        entry.node.losses = losses
        change(entry, .state)
    }

    /// Whether a node is not lost: it is connected, and three heartbeats have not been missed.
    func hears(_ id: NodeID) -> Bool { entries[id].map { $0.isConnected && $0.node.state != .unreachable } ?? false }

    /// Turns missed heartbeats into states. Returns whether one changed.
    mutating func check(now: NIODeadline, heartbeat: TimeAmount) -> Bool {
        self.heartbeat = heartbeat
        let changed = entries.indices.filter {
            Self.state(of: entries.values[$0], now: now, heartbeat: heartbeat) != entries.values[$0].node.state
        }
        for var entry in changed.map({ entries.values[$0] }) {
            entry.node.state = Self.state(of: entry, now: now, heartbeat: heartbeat)
            if entry.node.state == .unreachable, entry.node.drainedSince == nil {
                let losses = entry.node.losses ?? RecentLosses(counted: 0, at: 0)
                entry.node.losses = losses.adding(at: zero + Double(now.uptimeNanoseconds) / 1e9)
                hasNewLosses = true
            }
            change(entry, .state)
        }
        return !changed.isEmpty
    }

    mutating func ask(_ nodes: [NodeID], about id: NodeID, now: NIODeadline) {
        entries[id]?.asked = Asking(nodes: Set(nodes), at: now)
    }

    /// Returns whether it is another opinion than before.
    mutating func answer(_ opinion: SecondOpinion, about id: NodeID) -> Bool {
        guard var entry = entries[id] else { return false }
        entry.asked?.hasAnswer = true
        entries[id] = entry
        guard entry.node.opinion != opinion else { return false }
        entry.node.opinion = opinion
        change(entry, .state)
        return true
    }

    /// Suspect is one whose heartbeat is late: by a fifth of the time between them, but not less than 300 ms. Unreachable is one of
    /// which three were missed; half of one is granted for the network. Both wait longer where heartbeats come unevenly, by up
    /// to two of them.
    private static func state(of entry: Entry, now: NIODeadline, heartbeat: TimeAmount) -> NodeState {
        let silence = now - entry.lastHeard
        guard entry.isConnected else {
            // One that was never heard since the start has been unreachable all along.
            return silence > heartbeat ? .unreachable : entry.node.state
        }
        let patience = min(.nanoseconds(Int64(entry.jitter.lateness * 4)), heartbeat * 2)
        if (silence - patience) * 2 > heartbeat * 7 { return .unreachable }
        if silence - patience > heartbeat + max(.nanoseconds(heartbeat.nanoseconds / 5), Self.leastLateness) {
            return .suspect
        }
        return entry.reported
    }

    private static let leastLateness = TimeAmount.milliseconds(300)

    /// What of a node changed: no more than its measures, no more than its load, or more than that.
    private enum Change: Comparable { case measures, reservation, state }

    private mutating func change(_ entry: Entry, _ what: Change) {
        revision += 1
        var entry = entry
        entry.revision = revision
        entry.encoded = nil
        entry.told = entry.node.measures
        if what >= .reservation { entry.booked = revision }
        if what == .state {
            entry.stated = revision
            logs[entry.node.tenant, default: StateLog()].note(entry.node.id, at: revision)
        }
        if entry.node.state == .unreachable {
            unreachable.insert(entry.node.id)
        } else {
            unreachable.remove(entry.node.id)
        }
        entries[entry.node.id] = entry
    }

    // MARK: - Leases

    /// Takes in a workload's newest version: what it holds, or that it holds no more.
    mutating func hold(_ workload: Workload) {
        // A commit that was overtaken by a newer placement changes nothing.
        let known = leases[workload.id]
        if let known, known.epoch > workload.version.epoch { return }
        guard workload.state.holdsCapacity else {
            release(workload.id)
            return
        }
        let lease = Lease(
            tenant: workload.tenant, origin: workload.origin, target: workload.target, epoch: workload.version.epoch,
            resources: workload.resources, isPending: workload.state == .pending, createdAt: workload.createdAt)
        if let known {
            // Most reports move a state only, and hold what was held.
            guard known.target != lease.target || known.resources != lease.resources || known.origin != lease.origin
            else {
                leases[workload.id] = lease
                return
            }
            release(workload.id)
        }
        restore(workload.id, lease)
    }

    /// Counts a workload no more; answers what it held.
    @discardableResult
    mutating func release(_ workload: WorkloadID) -> Lease? {
        guard let lease = leases.removeValue(forKey: workload) else { return nil }
        leasesByNode[lease.target]?[workload] = nil
        let left = (targetsByOrigin[lease.origin]?[lease.target] ?? 1) - 1
        targetsByOrigin[lease.origin]?[lease.target] = left > 0 ? left : nil
        if targetsByOrigin[lease.origin]?.isEmpty ?? false { targetsByOrigin[lease.origin] = nil }
        updateReserved(at: lease.target)
        return lease
    }

    mutating func restore(_ workload: WorkloadID, _ lease: Lease) {
        leases[workload] = lease
        leasesByNode[lease.target, default: [:]][workload] = lease.resources
        targetsByOrigin[lease.origin, default: [:]][lease.target, default: 0] += 1
        updateReserved(at: lease.target)
    }

    private func reserved(at node: NodeID) -> Resources {
        var sum = Resources.none
        for resources in (leasesByNode[node] ?? [:]).values {
            sum.cpus += resources.cpus
            sum.memory += resources.memory
        }
        return sum
    }

    private mutating func updateReserved(at node: NodeID) {
        let sum = reserved(at: node)
        guard var entry = entries[node], entry.node.reserved != sum else { return }
        entry.node.reserved = sum
        change(entry, .reservation)
    }
}
