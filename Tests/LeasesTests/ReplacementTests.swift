import Fleet
import Leases
import Testing

@Suite("Whether leased work may run elsewhere")
struct ReplacementTests {
    static func workload(_ state: WorkloadState, epoch: UInt64 = 1) throws -> Workload {
        Workload(
            id: WorkloadID.random(), tenant: .main, origin: try NodeID("edge"), target: try NodeID("cloud"),
            state: state, version: Version(epoch: epoch, sequence: 3))
    }

    static func judge(_ known: Workload?, isHeard: Bool = false, runsOut: UInt64 = 100, now: UInt64) -> Replacement {
        .judge(
            epoch: 1, known: known, isHeard: isHeard, lease: GrantedLease(runsOut: runsOut), margin: 10, now: now)
    }

    @Test("Only once the last grant has run out, and the node has had time to stop")
    func timing() throws {
        let known = try Self.workload(.running)
        #expect(Self.judge(known, now: 50) == .wait(60))
        #expect(Self.judge(known, now: 109) == .wait(1))
        #expect(Self.judge(known, now: 110) == .granted)
    }

    @Test(
        "Not of a node that is heard, of another lease, or of what has ended",
        arguments: [WorkloadState.exited, .removed])
    func kept(state: WorkloadState) throws {
        #expect(Self.judge(try Self.workload(.running), isHeard: true, now: 200) == .kept("node cloud is back"))
        #expect(Self.judge(try Self.workload(.running, epoch: 2), now: 200) != .granted)
        #expect(Self.judge(nil, now: 200) == .kept("nothing is known of it"))
        guard case .kept(let reason) = Self.judge(try Self.workload(.running, epoch: 0), now: 200) else {
            Issue.record("a ledger that is older than the lease must not give it away")
            return
        }
        #expect(reason.contains("backup") && reason.contains("--recover"))
        #expect(Self.judge(try Self.workload(state), now: 200) == .kept("it is \(state) at cloud"))
    }

    @Test("Of a newer lease of which nothing came and that was given back, but not in the middle of a move")
    func givenBack() throws {
        var known = try Self.workload(.removed, epoch: 2)
        #expect(Self.judge(known, now: 0) == .granted)
        let move = Replacement.judge(
            epoch: 1, known: known, isHeard: false, lease: GrantedLease(runsOut: 0), margin: 10, now: 200, isMove: true)
        #expect(move != .granted)
        known.containerID = "c1"
        #expect(Self.judge(known, now: 200) != .granted)
        #expect(Self.judge(try Self.workload(.pending, epoch: 2), now: 200) != .granted)
    }

    @Test("Every grant pushes the end out, and none pulls it in")
    func grants() {
        var lease = GrantedLease(runsOut: 0)
        lease.grant(50, at: 100)
        lease.grant(10, at: 110)
        #expect(lease.runsOut == 150)
    }

    @Test("Terms follow the heartbeat", arguments: [(0.1, 0.25, 0.4), (0.25, 0.625, 0.4), (1, 2.5, 1), (10, 25, 2)])
    func terms(heartbeat: Double, term: Double, margin: Double) {
        let terms = LeaseTerms(heartbeat: .seconds(heartbeat))
        #expect(terms.term == .seconds(term))
        #expect(terms.margin == .seconds(margin) + .seconds(term) / 1000)
        #expect(LeaseTerms(heartbeat: .seconds(heartbeat), least: .seconds(60)).term == .seconds(60))
    }
}
