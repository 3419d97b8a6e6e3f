import Fleet
import NIOCore

/// What one session has been told of the fleet, and what it is told next. Pure.
///
/// States come in the order in which they changed, in parts: who has been told revision R knows every change of a state up to
/// R. Loads (measures and reservations) come only to sessions that know all states, as far as they may be of use.
struct SessionFeed {
    /// What is told next is no longer than about this: with TLS around it, it fits a buffer that each connection has anyway.
    static let partBytes = 14 << 10
    /// The same, before it is packed.
    static let packedBytes = 64 << 10

    struct Part {
        var frame: ByteBuffer
        var revision: UInt64
        /// Whether a further part is there already.
        var more: Bool
    }

    let node: NodeID
    let tenant: TenantID
    /// Whether it takes what is packed.
    let unpacks: Bool
    /// Whether it needs not be told its own measures.
    let knowsItself: Bool
    /// What the session knows; nil for nothing.
    private(set) var revision: UInt64?
    /// Not before this it is told loads again.
    private var due = NIODeadline.uptimeNanoseconds(0)
    /// Those that it was told as the least loaded: it is told when they are so no more.
    private var praised: [NodeID] = []
    /// How far it has come in being told of every node in turn.
    private var turn = Int.random(in: 0..<1 << 20)

    /// - Parameter revision: what the session knows from an earlier connection.
    init(
        node: NodeID, tenant: TenantID, resuming revision: UInt64? = nil, unpacks: Bool = false,
        knowsItself: Bool = false
    ) {
        self.node = node
        self.tenant = tenant
        self.unpacks = unpacks
        self.knowsItself = knowsItself
        self.revision = revision
    }

    /// The next part of the states; nil when all are known.
    mutating func states(of view: inout FleetView, _ parts: inout PushParts) -> Part? {
        if let revision, revision >= view.lastStated(in: tenant) { return nil }
        let part = parts.part(after: revision, in: tenant, packs: unpacks, of: &view)
        revision = part.revision
        return part
    }

    /// The next loads, if it is time; nil when none are of use. Only for sessions that know all states.
    mutating func loads(of view: inout FleetView, _ pace: PushPace, _ ranking: LoadRanking?, now: NIODeadline)
        -> ByteBuffer?
    {
        guard let known = revision, known >= view.lastStated(in: tenant), view.revision > known, now >= due
        else { return nil }
        var chosen = ranking.map { choose($0, view, pace.most, since: known) } ?? view.changed(in: tenant, since: known)
        if knowsItself, view.bookedAt(node) <= known { chosen.removeAll { $0 == node } }
        guard !chosen.isEmpty else { return nil }
        let nodes = chosen.map { view.encoded($0) }
        revision = view.revision
        due = now + pace.wait(after: chosen.count)
        return PushFrame.frame(revision: view.revision, full: false, more: false, nodes: nodes)
    }

    /// Where it has work, what it was praised, who is least loaded now, and some of all in turn.
    private mutating func choose(_ ranking: LoadRanking, _ view: FleetView, _ most: Int, since known: UInt64)
        -> [NodeID]
    {
        var chosen: [NodeID] = []
        var seen: Set<NodeID> = []
        func add(_ nodes: some Sequence<NodeID>, upTo bound: Int, always: Bool = false) {
            for id in nodes {
                guard chosen.count < bound else { return }
                guard always || view.changedAt(id) > known, seen.insert(id).inserted else { continue }
                chosen.append(id)
            }
        }
        if let targets = view.targets(of: node) { add(targets, upTo: most / 4) }
        add(praised, upTo: most / 2)
        let before = chosen.count
        add(ranking.best(near: node, in: view), upTo: before + most / 4)
        praised = Array(chosen[before...])
        let all = ranking.all
        let left = min(most - chosen.count, all.count)
        add((0..<left).lazy.map { [turn] in all[(turn + $0) % all.count] }, upTo: most, always: true)
        turn = (turn + left) % max(1, all.count)
        return chosen
    }
}

/// Parts of pushes that many sessions are told alike: encoded once.
struct PushParts {
    private struct Key: Hashable {
        var tenant: TenantID
        /// The revision of its first change.
        var first: UInt64
        var isFull: Bool
        var packs: Bool
    }

    private var parts: [Key: SessionFeed.Part] = [:]
    private var lasts: [TenantID: UInt64] = [:]

    mutating func part(
        after known: UInt64?, in tenant: TenantID, packs: Bool, of view: inout FleetView
    ) -> SessionFeed.Part {
        let last = view.lastStated(in: tenant)
        // What follows is another part as soon as a state has changed.
        if lasts.updateValue(last, forKey: tenant) != last { parts = parts.filter { $0.key.tenant != tenant } }
        let first = view.firstStated(after: known ?? 0, in: tenant) ?? last
        let key = Key(tenant: tenant, first: first, isFull: known == nil, packs: packs)
        if let part = parts[key] { return part }
        let part = Self.encode(after: known, in: tenant, packs: packs, of: &view)
        parts[key] = part
        return part
    }

    private static func encode(
        after known: UInt64?, in tenant: TenantID, packs: Bool, of view: inout FleetView
    ) -> SessionFeed.Part {
        let most = packs ? SessionFeed.packedBytes : SessionFeed.partBytes
        var nodes: [[UInt8]] = []
        var size = 0
        var revision = known ?? 0
        let last = view.lastStated(in: tenant)
        for item in view.logs[tenant, default: StateLog()].after(known ?? 0) {
            nodes.append(view.encoded(item.node))
            revision = item.revision
            size += nodes[nodes.count - 1].count
            if size >= most { break }
        }
        let more = revision < last
        return SessionFeed.Part(
            frame: PushFrame.frame(revision: revision, full: known == nil, more: more, nodes: nodes, packs: packs),
            revision: revision, more: more)
    }
}

/// How many loads are told how often: together no more than `rate` nodes a second, however many sessions there are.
struct PushPace {
    /// Nodes a second over all sessions; at about 200 bytes each.
    private static let rate = 20_000.0
    private static let least = 32

    let sessions: Int

    /// Nodes that one push tells at most.
    var most: Int { max(Self.least, Int(Self.rate) / max(1, sessions)) }

    /// How long a session waits after it was told so many.
    func wait(after nodes: Int) -> TimeAmount {
        .nanoseconds(Int64(Double(nodes) * Double(sessions) / Self.rate * 1e9))
    }
}

/// A tenant's nodes by how much more they could do, once for all sessions.
struct LoadRanking {
    private static let length = 64
    private static let site = "site="

    /// Every node, to be told in turn.
    private(set) var all: [NodeID]
    private var best: [NodeID]
    private var bestBySite: [String: [NodeID]]

    init(_ tenant: TenantID, of view: FleetView) {
        var ranked: [(load: Double, id: NodeID, site: String?)] = []
        all = []
        for entry in view.entries.values where entry.node.tenant == tenant {
            let node = entry.node
            all.append(node.id)
            guard node.state == .ready, node.acceptsWork else { continue }
            let load = max(node.measures.cpu, node.reserved.cpus / max(0.1, node.capacity.cpus))
            ranked.append((load, node.id, node.tags.first { $0.hasPrefix(Self.site) }))
        }
        ranked.sort { $0.load < $1.load }
        best = ranked.prefix(Self.length).map(\.id)
        bestBySite = [:]
        for node in ranked {
            guard let site = node.site, bestBySite[site]?.count ?? 0 < Self.length else { continue }
            bestBySite[site, default: []].append(node.id)
        }
    }

    /// The least loaded ones, a node's own site first.
    func best(near node: NodeID, in view: FleetView) -> [NodeID] {
        guard let site = view[node]?.tags.first(where: { $0.hasPrefix(Self.site) }), let near = bestBySite[site]
        else { return best }
        return near.prefix(Self.length / 4) + best
    }
}
