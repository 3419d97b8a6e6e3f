import Fleet
import NIOCore
import Session
import Testing
import Wire

@testable import Gateway

@Suite("What sessions are told of the fleet")
struct SessionFeedTests {
    /// A node's end: what it knows, as a real session puts it together.
    private struct Listener {
        var feed: SessionFeed
        var snapshot = FleetSnapshot()
        var assembling: FleetSnapshot?
        var bytes = 0
        /// Nodes in what came last.
        var last = 0

        mutating func hear(_ frame: ByteBuffer) throws {
            bytes += frame.readableBytes
            var decoder = DelimitedDecoder()
            decoder.feed(frame.readableBytesView)
            let envelope = try #require(try decoder.next(Lighter_V1_Envelope.self))
            #expect(decoder.unread.isEmpty)
            #expect(feed.unpacks || envelope.fleetPush.packed.isEmpty)
            let push = try envelope.fleetPush.unpacked()
            last = push.nodes.count
            if push.full { assembling = FleetSnapshot() }
            guard var fresh = assembling else {
                #expect(push.apply(to: &snapshot), "a push came that is older than what is known")
                return
            }
            #expect(push.apply(to: &fresh))
            assembling = push.more ? fresh : nil
            if !push.more { snapshot = fresh }
        }

        /// The connection is lost; the node knows what it knew, or nothing after a restart of its own.
        mutating func reconnect(forgetting: Bool) {
            assembling = nil
            if forgetting { snapshot = FleetSnapshot() }
            let known = snapshot.revision == 0 ? nil : snapshot.revision
            feed = SessionFeed(node: feed.node, tenant: feed.tenant, resuming: known, unpacks: feed.unpacks)
        }
    }

    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func view(_ count: Int) throws -> FleetView {
        var view = FleetView(nodes: [], workloads: [], since1970: 0, now: Self.start)
        for index in 0..<count { _ = view.heard(try node(index), now: Self.start) }
        return view
    }

    private func node(_ index: Int, cpu: Double = 0.5) throws -> Node {
        var node = Node(id: try NodeID("node-\(index)"), addresses: ["192.0.2.1:7701"], engineVersion: "28.0")
        node.capacity = Resources(cpus: 4, memory: .gibibytes(8))
        node.measures.cpu = cpu
        return node
    }

    private func listener(_ index: Int) throws -> Listener {
        Listener(
            // Of two releases.
            feed: SessionFeed(
                node: try NodeID("node-\(index)"), tenant: .main, unpacks: index.isMultiple(of: 2)))
    }

    @Test("No state is missed, whatever the order of changes, pushes, cuts and restarts", arguments: 0..<20)
    func nothingIsMissed(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let count = Int.random(in: 1...300, using: &random)
        var view = try view(count)
        var parts = PushParts()
        var now = Self.start
        var listeners = try (0..<6).map(listener)
        var measured = (0..<count).map { _ in 0.5 }
        for _ in 0..<400 {
            now = now + .milliseconds(20)
            let index = Int.random(in: 0..<count, using: &random)
            var fresh = try node(index, cpu: measured[index])
            switch Int.random(in: 0..<4, using: &random) {
            case 0: fresh.state = .engineDown
            case 1: fresh.tags = ["gpu"]
            case 2: measured[index] = Double.random(in: 0...1, using: &random)
            default: view.lost(fresh.id, now: now)
            }
            fresh.measures.cpu = measured[index]
            if Bool.random(using: &random) { _ = view.heard(fresh, now: now) }
            if Int.random(in: 0..<10, using: &random) == 0 { _ = view.check(now: now, heartbeat: .milliseconds(100)) }
            let ranking = Bool.random(using: &random) ? LoadRanking(.main, of: view) : nil
            for listener in listeners.indices where Bool.random(using: &random) {
                if Int.random(in: 0..<25, using: &random) == 0 {
                    listeners[listener].reconnect(forgetting: Bool.random(using: &random))
                }
                if let part = listeners[listener].feed.states(of: &view, &parts) {
                    try listeners[listener].hear(part.frame)
                } else if let frame = listeners[listener].feed.loads(
                    of: &view, PushPace(sessions: 5000), ranking, now: now)
                {
                    try listeners[listener].hear(frame)
                }
            }
        }
        for var listener in listeners {
            while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
            #expect(listener.snapshot.nodes.count == count)
            for known in listener.snapshot.nodes {
                var current = try #require(view[known.id])
                current.measures = known.measures
                current.reserved = known.reserved
                #expect(known == current)
            }
        }
    }

    @Test("Sessions that know the same are told the same bytes, encoded once")
    func shared() throws {
        var view = try view(20)
        var parts = PushParts()
        var (first, second) = (try listener(2).feed, try listener(4).feed)
        let one = try #require(first.states(of: &view, &parts))
        let two = try #require(second.states(of: &view, &parts))
        let isOne = one.frame.withUnsafeReadableBytes { bytes in
            two.frame.withUnsafeReadableBytes { $0.baseAddress == bytes.baseAddress }
        }
        #expect(isOne)
        #expect(!one.more)
    }

    @Test("A session that comes back is told only what has changed, and nothing when nothing has")
    func resumed() throws {
        var view = try view(300)
        var parts = PushParts()
        var listener = try listener(0)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        listener.reconnect(forgetting: false)
        #expect(listener.feed.states(of: &view, &parts) == nil)
        var down = try node(7)
        down.state = .engineDown
        _ = view.heard(down, now: Self.start)
        listener.reconnect(forgetting: false)
        let part = try #require(listener.feed.states(of: &view, &parts))
        try listener.hear(part.frame)
        #expect(listener.last == 1)
        #expect(listener.snapshot[down.id]?.state == .engineDown)
        #expect(listener.snapshot.nodes.count == 300)
    }

    @Test("Of a first push in parts nothing is used before its last part", arguments: [0, 1])
    func parts(release: Int) throws {
        var view = try view(4000)
        var parts = PushParts()
        var listener = try listener(release)
        var count = 0
        while let part = listener.feed.states(of: &view, &parts) {
            #expect(part.frame.readableBytes < SessionFeed.partBytes + 1024)
            try listener.hear(part.frame)
            count += 1
            #expect(listener.snapshot.nodes.count == (part.more ? 0 : 4000))
        }
        #expect(count > 2)
    }

    @Test("Who unpacks is told the same in a fraction of the bytes, and of a few nodes as they are")
    func packed() throws {
        var view = try view(2000)
        var parts = PushParts()
        var (plain, packed) = (try listener(1), try listener(2))
        while let part = plain.feed.states(of: &view, &parts) { try plain.hear(part.frame) }
        while let part = packed.feed.states(of: &view, &parts) { try packed.hear(part.frame) }
        #expect(packed.snapshot == plain.snapshot)
        #expect(packed.bytes < plain.bytes / 3)
        packed.bytes = 0
        _ = view.heard(try node(2000), now: Self.start)
        let part = try #require(packed.feed.states(of: &view, &parts))
        try packed.hear(part.frame)
        #expect(packed.snapshot.nodes.count == 2001)
        #expect(packed.bytes < 200)
    }

    @Test("Packed nodes that are damaged, cut short or too many are refused, and never taken for none")
    func damaged() throws {
        var push = Lighter_V1_FleetPush()
        let frame = PushFrame.frame(
            revision: 1, full: true, more: false, nodes: try (0..<500).map { PushFrame.encode(try node($0)) },
            packs: true)
        var decoder = DelimitedDecoder()
        decoder.feed(frame.readableBytesView)
        let whole = try #require(try decoder.next(Lighter_V1_Envelope.self)).fleetPush
        #expect(try whole.unpacked().nodes.count == 500)
        push = whole
        push.packed = whole.packed.prefix(whole.packed.count / 2)
        #expect(throws: SessionError.self) { try push.unpacked() }
        push.packed = whole.packed.dropFirst(3)
        #expect(throws: SessionError.self) { try push.unpacked() }
        let bomb = PushFrame.frame(
            revision: 1, full: true, more: false, nodes: [[UInt8](repeating: 0, count: 8 << 20)], packs: true)
        decoder = DelimitedDecoder()
        decoder.feed(bomb.readableBytesView)
        push = try #require(try decoder.next(Lighter_V1_Envelope.self)).fleetPush
        #expect(throws: SessionError.self) { try push.unpacked() }
    }

    @Test("Loads are told of few nodes, and over all sessions at a bounded rate", arguments: [10, 100, 1000])
    func bounded(count: Int) throws {
        var view = try view(count)
        var parts = PushParts()
        var listener = try listener(0)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        listener.bytes = 0
        var told = 0
        let pace = PushPace(sessions: count)
        let seconds = 20
        for second in 1...seconds {
            let now = Self.start + .seconds(Int64(second))
            for index in 0..<count { _ = view.heard(try node(index, cpu: Double.random(in: 0...1)), now: now) }
            let ranking = count > pace.most ? LoadRanking(.main, of: view) : nil
            guard let frame = listener.feed.loads(of: &view, pace, ranking, now: now) else { continue }
            try listener.hear(frame)
            #expect(listener.last <= pace.most)
            told += listener.last
        }
        let most = min(Double(count * seconds), 20_000 / Double(count) * Double(seconds) + Double(pace.most))
        #expect(Double(told) <= most)
        #expect(Double(told) >= most / 4)
        #expect(listener.bytes < told * 300 + seconds * 32)
    }

    @Test(
        "A node that knows itself is not told what it has measured, but what was reserved at it",
        arguments: [false, true])
    func ownLoad(knowsItself: Bool) throws {
        var view = try view(3)
        var parts = PushParts()
        var listener = try listener(0)
        listener.feed = SessionFeed(node: listener.feed.node, tenant: .main, unpacks: true, knowsItself: knowsItself)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        let pace = PushPace(sessions: 3)
        var now = Self.start
        func told(_ body: (inout FleetView) throws -> Void) throws -> Int {
            now = now + .seconds(1)
            try body(&view)
            listener.last = 0
            if let frame = listener.feed.loads(of: &view, pace, nil, now: now) { try listener.hear(frame) }
            return listener.last
        }
        #expect(try told { _ = $0.heard(try node(0, cpu: 0.9), now: now) } == (knowsItself ? 0 : 1))
        #expect(try told { _ = $0.heard(try node(1, cpu: 0.9), now: now) } == 1)
        #expect(listener.snapshot[try NodeID("node-1")]?.measures.cpu == 0.9)
        let lease = Workload(
            id: .random(), tenant: .main, origin: try NodeID("node-2"), target: listener.feed.node, state: .running,
            version: Version(epoch: 1, sequence: 0), name: "w", image: "x", resources: Resources(cpus: 1))
        #expect(try told { $0.hold(lease) } == 1)
        #expect(listener.snapshot[listener.feed.node]?.reserved.cpus == 1)
        #expect(try told { _ = $0.heard(try node(0, cpu: 0.1), now: now) } == (knowsItself ? 0 : 1))
        // A state is told to all.
        var down = try node(0, cpu: 0.1)
        down.state = .engineDown
        _ = view.heard(down, now: now)
        try listener.hear(try #require(listener.feed.states(of: &view, &parts)).frame)
        #expect(listener.snapshot[down.id]?.state == .engineDown)
    }

    @Test("Loads of most use come first: where the session has work, its own site, the least loaded")
    func useful() throws {
        var view = try view(3000)
        var parts = PushParts()
        var listener = try listener(0)
        var own = try node(0)
        own.tags = ["site=berlin"]
        _ = view.heard(own, now: Self.start)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        let now = Self.start + .seconds(1)
        var near = try node(10, cpu: 0.4)
        near.tags = ["site=berlin"]
        for index in 1..<3000 where index != 10 { _ = view.heard(try node(index, cpu: 0.6), now: now) }
        _ = view.heard(near, now: now)
        _ = view.heard(try node(20, cpu: 0.1), now: now)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        _ = view.heard(
            {
                var node = near
                node.measures.cpu = 0.45
                return node
            }(), now: now)
        _ = view.heard(try node(20, cpu: 0.11), now: now)
        _ = view.heard(try node(30, cpu: 0.99), now: now)
        view.hold(
            Workload(
                id: .random(), tenant: .main, origin: own.id, target: try NodeID("node-30"), state: .running,
                version: Version(epoch: 1, sequence: 0), name: "w", image: "x"))
        let frame = listener.feed.loads(
            of: &view, PushPace(sessions: 3000), LoadRanking(.main, of: view), now: now)
        try listener.hear(try #require(frame))
        #expect(listener.snapshot[near.id]?.measures.cpu == 0.45)
        #expect(listener.snapshot[try NodeID("node-20")]?.measures.cpu == 0.11)
        #expect(listener.snapshot[try NodeID("node-30")]?.measures.cpu == 0.99)
    }

    @Test("Who was told that a node is idle is told when it is so no more")
    func praise() throws {
        var view = try view(3000)
        var parts = PushParts()
        var listener = try listener(0)
        while let part = listener.feed.states(of: &view, &parts) { try listener.hear(part.frame) }
        _ = view.heard(try node(5, cpu: 0.01), now: Self.start)
        let pace = PushPace(sessions: 3000)
        let first = listener.feed.loads(of: &view, pace, LoadRanking(.main, of: view), now: Self.start)
        try listener.hear(try #require(first))
        #expect(listener.snapshot[try NodeID("node-5")]?.measures.cpu == 0.01)
        let later = Self.start + pace.wait(after: pace.most)
        for index in 0..<3000 { _ = view.heard(try node(index, cpu: index == 5 ? 0.98 : 0.4), now: later) }
        let second = listener.feed.loads(of: &view, pace, LoadRanking(.main, of: view), now: later)
        try listener.hear(try #require(second))
        #expect(listener.snapshot[try NodeID("node-5")]?.measures.cpu == 0.98)
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
