import Fleet
import NIOCore
import Testing

@testable import Gateway

struct FleetViewTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let beat = TimeAmount.seconds(1)

    private func view() -> FleetView { FleetView(nodes: [], workloads: [], since1970: 1, now: Self.start) }

    private func node(_ name: String, _ state: NodeState = .ready) throws -> Node {
        Node(id: try NodeID(name), state: state)
    }

    private func workload(
        _ id: WorkloadID = .random(), at target: String, state: WorkloadState = .pending, epoch: UInt64 = 1
    ) throws -> Workload {
        Workload(
            id: id, tenant: .main, origin: try NodeID("edge"), target: try NodeID(target), state: state,
            version: Version(epoch: epoch, sequence: 0), resources: Resources(cpus: 2, memory: .gibibytes(1)))
    }

    @Test(
        "A late heartbeat makes a connected node suspect, three missed ones unreachable",
        arguments: [(1.0, NodeState.ready), (1.25, .ready), (1.35, .suspect), (3.4, .suspect), (3.6, .unreachable)])
    func missedHeartbeats(silence: Double, expected: NodeState) throws {
        var view = view()
        let node = try node("edge")
        _ = view.heard(node, now: Self.start)
        _ = view.check(now: Self.start + .nanoseconds(Int64(silence * 1e9)), heartbeat: Self.beat)
        #expect(view[node.id]?.state == expected)
        _ = view.heard(node, now: Self.start + .seconds(10))
        #expect(view[node.id]?.state == .ready)
    }

    @Test("A heartbeat without news keeps a node ready, and is not enough where there is more to it")
    func heardAgain() throws {
        var view = view()
        let node = try node("edge")
        let isKnown = view.heardAgain(node.id, now: Self.start)
        #expect(!isKnown)
        _ = view.heard(node, now: Self.start)
        var now = Self.start
        for _ in 0..<5 {
            now = now + Self.beat
            let (isEnough, isLate) = (
                view.heardAgain(node.id, now: now), view.check(now: now + Self.beat, heartbeat: Self.beat)
            )
            #expect(isEnough && !isLate)
        }
        #expect(view[node.id]?.state == .ready)
        _ = view.check(now: now + .milliseconds(1350), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .suspect)
        let isEnoughOfSuspect = view.heardAgain(node.id, now: now + .milliseconds(1400))
        #expect(!isEnoughOfSuspect)
        _ = view.heard(node, now: now + .milliseconds(1400))
        #expect(view[node.id]?.state == .ready)
        view.lost(node.id, now: now + .seconds(2))
        let isEnoughWithoutLink = view.heardAgain(node.id, now: now + .seconds(2))
        #expect(!isEnoughWithoutLink)
        _ = view.check(now: now + .seconds(4), heartbeat: Self.beat)
        #expect(view.unreachable == [node.id])
        _ = view.heard(node, now: now + .seconds(5))
        #expect(view.unreachable.isEmpty)
    }

    @Test("How late is late follows the heartbeat; a node that falls silent again and again is waited for no longer")
    func silences() throws {
        for (beat, late) in [(0.25, 0.3), (1, 0.3), (5, 1), (10, 2)] {
            var view = view()
            let node = try node("edge")
            var now = Self.start
            func advance(_ seconds: Double) { now = now + .nanoseconds(Int64(seconds * 1e9)) }
            let heartbeat = TimeAmount.nanoseconds(Int64(beat * 1e9))
            for _ in 0..<5 {
                _ = view.heard(node, now: now)
                advance(beat + late - 0.01)
                _ = view.check(now: now, heartbeat: heartbeat)
                #expect(view[node.id]?.state == .ready)
                advance(0.02)
                _ = view.check(now: now, heartbeat: heartbeat)
                #expect(view[node.id]?.state == .suspect)
                advance(10 * beat)
            }
        }
    }

    @Test("Heartbeats that come unevenly are waited for longer, but no more than two")
    func jitter() throws {
        var view = view()
        let node = try node("edge")
        var now = Self.start
        for index in 0..<40 {
            _ = view.heard(node, now: now)
            now = now + .milliseconds(index.isMultiple(of: 2) ? 600 : 1400)
        }
        _ = view.heard(node, now: now)
        _ = view.check(now: now + .milliseconds(4500), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .suspect)
        _ = view.check(now: now + .milliseconds(5600), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .unreachable)
    }

    @Test("Heartbeats that come early, as the first ones do, make nobody wait longer")
    func earlyHeartbeats() throws {
        var view = view()
        let node = try node("edge")
        var now = Self.start
        for gap in [20, 1000, 1000, 100, 1000, 1000] {
            _ = view.heard(node, now: now)
            now = now + .milliseconds(Int64(gap))
        }
        _ = view.heard(node, now: now)
        _ = view.check(now: now + .milliseconds(2600), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .suspect)
        _ = view.check(now: now + .milliseconds(3600), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .unreachable)
    }

    @Test("Each time that a node is lost counts, unless it is drained, and nothing that it says of itself changes that")
    func losses() throws {
        var view = view()
        let node = try node("edge")
        for round in 0..<3 {
            let now = Self.start + .hours(Int64(round))
            _ = view.heard(node, now: now)
            _ = view.check(now: now + .seconds(10), heartbeat: Self.beat)
            _ = view.check(now: now + .seconds(11), heartbeat: Self.beat)
        }
        _ = view.heard(node, now: Self.start + .hours(2) + .seconds(20))
        let losses = try #require(view[node.id]?.losses)
        #expect(abs(losses.counted - 1.75) < 0.001)
        #expect(losses.countedAt == 1 + 7200 + 10)
        view.drain(node.id, since: 5)
        _ = view.heard(node, now: Self.start + .hours(3))
        _ = view.check(now: Self.start + .hours(3) + .seconds(10), heartbeat: Self.beat)
        #expect(view[node.id]?.state == .unreachable)
        #expect(view[node.id]?.losses == losses)
        #expect(view[node.id]?.drainedSince == 5)
    }

    @Test("A node whose link is gone is granted one heartbeat to come back")
    func lostLink() throws {
        var view = view()
        let node = try node("edge", .engineDown)
        _ = view.heard(node, now: Self.start)
        view.lost(node.id, now: Self.start)
        let early = view.check(now: Self.start + .milliseconds(900), heartbeat: Self.beat)
        #expect(!early)
        #expect(view[node.id]?.state == .engineDown)
        let late = view.check(now: Self.start + .milliseconds(1100), heartbeat: Self.beat)
        #expect(late)
        #expect(view[node.id]?.state == .unreachable)
    }

    @Test("Only what a listener would act on is urgent; measures are not, and nothing new is no change")
    func urgency() throws {
        var view = view()
        var node = try node("edge")
        let first = view.heard(node, now: Self.start)
        let before = view.revision
        let same = view.heard(node, now: Self.start)
        #expect(view.revision == before)
        node.measures.cpu = 0.5
        let measured = view.heard(node, now: Self.start)
        #expect(view.revision > before)
        let told = view.revision
        for step in 1...9 {
            node.measures.cpu = 0.5 + 0.002 * Double(step)
            _ = view.heard(node, now: Self.start)
        }
        #expect(view.revision == told, "what makes no difference is not told")
        #expect(view[node.id]?.measures.cpu == node.measures.cpu)
        node.measures.cpu = 0.521
        _ = view.heard(node, now: Self.start)
        #expect(view.revision > told, "but its sum is")
        node.state = .engineDown
        let down = view.heard(node, now: Self.start)
        #expect([first, same, measured, down] == [true, false, false, true])
    }

    @Test("Of a lost node those near it are asked, once a minute; the best they find is told until it is heard again")
    func secondOpinions() throws {
        var view = view()
        var lost = try node("lost")
        (lost.addresses, lost.tags) = (["10.0.0.1:7701"], ["site=north"])
        _ = view.heard(lost, now: Self.start)
        for name in ["a", "b", "c", "far"] {
            var other = try node(name)
            other.tags = ["a", "far"].contains(name) ? ["site=south"] : ["gpu", "site=north"]
            _ = view.heard(other, now: Self.start + .seconds(100))
        }
        let now = Self.start + .seconds(100)
        #expect(view.questions(now: now).isEmpty, "it is not known to be lost")
        _ = view.check(now: now, heartbeat: Self.beat)
        let questions = view.questions(now: now)
        #expect(questions.map(\.node.id) == [lost.id])
        #expect(Set(questions.first?.asked.map(\.name) ?? []) == ["b", "c"])
        #expect(view.questions(now: now + .seconds(50)).isEmpty)

        let (b, c) = (try NodeID("b"), try NodeID("c"))
        let stranger = view.note(SecondOpinion(by: try NodeID("a"), .answers), of: lost.id)
        #expect(!stranger && view[lost.id]?.opinion == nil)
        let told = [
            view.note(SecondOpinion(by: b, .silent), of: lost.id),
            view.note(SecondOpinion(by: c, .refuses), of: lost.id),
        ]
        #expect(told == [true, true])
        #expect(view[lost.id]?.opinion == SecondOpinion(by: c, .refuses))
        #expect(view.questions(now: now + .seconds(61)).count == 1)
        let later = view.note(SecondOpinion(by: b, .silent), of: lost.id)
        #expect(later && view[lost.id]?.opinion == SecondOpinion(by: b, .silent), "what was found a minute ago is over")
        let isBack = view.heard(lost, now: now + .seconds(62))
        #expect(isBack && view[lost.id]?.opinion == nil)
        let late = view.note(SecondOpinion(by: c, .answers), of: lost.id)
        #expect(!late)
    }

    @Test("Leases are counted where they are, once, until they end")
    func reservations() throws {
        var view = view()
        let cloud = try node("cloud")
        let other = try node("other")
        _ = view.heard(cloud, now: Self.start)
        _ = view.heard(other, now: Self.start)
        let id = WorkloadID.random()
        view.hold(try workload(id, at: "cloud"))
        view.hold(try workload(id, at: "cloud", state: .running))
        view.hold(try workload(at: "cloud"))
        #expect(view[cloud.id]?.reserved == Resources(cpus: 4, memory: .gibibytes(2)))
        view.hold(try workload(id, at: "other", epoch: 2))
        #expect(view[cloud.id]?.reserved.cpus == 2)
        #expect(view[other.id]?.reserved.cpus == 2)
        view.hold(try workload(id, at: "cloud", state: .exited, epoch: 1))
        #expect(view[other.id]?.reserved.cpus == 2)
        view.hold(try workload(id, at: "other", state: .exited, epoch: 2))
        #expect(view[other.id]?.reserved == Resources.none)
    }

    @Test("Changes since a revision are a tenant's own, and none once they are known")
    func changes() throws {
        var view = view()
        var red = try node("red")
        red.tenant = try TenantID("red")
        _ = view.heard(red, now: Self.start)
        let known = view.revision
        _ = view.heard(try node("edge"), now: Self.start)
        #expect(view.changed(in: .main, since: known).map(\.name) == ["edge"])
        #expect(view.changed(in: red.tenant, since: known).isEmpty)
        #expect(view.changed(in: .main, since: view.revision).isEmpty)
        #expect(view.snapshot(of: nil).nodes.count == 2)
    }

    @Test("Nodes from the ledger are unreachable until they come back, and revisions begin at the clock")
    func restarted() throws {
        let view = FleetView(
            nodes: [try node("edge")], workloads: [try workload(at: "edge", state: .running)], since1970: 100,
            now: Self.start)
        #expect(view[try NodeID("edge")]?.state == .unreachable)
        #expect(view[try NodeID("edge")]?.reserved.cpus == 2)
        #expect(view.revision > 100_000_000)
    }

    @Test("A bucket lets its burst pass, then as many as its rate")
    func bucket() {
        var bucket = TokenBucket(capacity: 3, rate: 2, now: Self.start)
        let burst = (0..<5).map { _ in bucket.take(now: Self.start) }
        #expect(burst == [true, true, true, false, false])
        let later = (0..<3).map { _ in bucket.take(now: Self.start + .seconds(1)) }
        #expect(later == [true, true, false])
    }
}
