import Fleet
import Testing

@testable import Placement

@Suite("Completion")
struct CompletionTests {
    @Test("Short work stays, long work leaves for a faster core")
    func shortAndLong() throws {
        var fixture = try Fixture(.completion)
        fixture.cloud1.measures.coreSpeed = 2
        fixture.cloud2.measures.coreSpeed = 2
        fixture.learn(0.1)
        #expect(fixture.decide().target == fixture.edge.id)
        fixture.estimates = WorkEstimates()
        fixture.learn(60)
        #expect(fixture.decide().target != fixture.edge.id)
    }

    @Test("The forecast is shipping, travel, computing and waiting, each with its unit")
    func terms() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(30)
        fixture.edge.measures.cpu = 0.5
        fixture.cloud1.measures.coreSpeed = 3
        fixture.request.imageSize = ByteCount(20_000_000)
        let decision = fixture.decide()
        #expect(decision.target == fixture.cloud1.id)
        let expected: [(String, Double)] = [
            ("image missing", 20_000_000), ("bandwidth", 10e6), ("shipping", 2), ("round trip", 0.02), ("travel", 0.06),
            ("work", 30), ("core speed", 3), ("share of a core", 1), ("computing", 10), ("waiting", 0),
        ]
        for (name, value) in expected {
            let term = try #require(decision.term(name, of: "cloud1"), "\(name)")
            #expect((term - value).magnitude < 1e-9, "\(name): \(term)")
        }
        #expect(((decision.candidate("cloud1")?.score ?? 0) - 12.06).magnitude < 1e-9)
        // Half of the origin's one core is idle, and fair scheduling would give 1 / 1.5.
        #expect(((decision.term("share of a core", of: "edge") ?? 0) - 2.0 / 3).magnitude < 1e-9)
        #expect(((decision.candidate("edge")?.score ?? 0) - 45).magnitude < 1e-9)
        #expect(decision.candidates.allSatisfy { $0.terms.allSatisfy { $0.value.isFinite } })
    }

    @Test("An image that is there need not travel")
    func imageThere() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(10)
        fixture.edge.measures.coreSpeed = 0.5
        fixture.request.imageSize = .gibibytes(2)
        #expect(fixture.decide().target == fixture.edge.id)
        fixture.estimates.note(image: fixture.request.imageID, at: fixture.cloud2.id)
        #expect(fixture.decide().target == fixture.cloud2.id)
    }

    @Test("A bind mount travels like an image, unless the node has a mirror of it")
    func mounts() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(10)
        fixture.edge.measures.coreSpeed = 0.5
        fixture.request.mountSize = .gibibytes(2)
        let staying = fixture.decide()
        #expect(staying.target == fixture.edge.id)
        #expect(staying.term("mounts missing", of: "edge") == 0)
        fixture.request.mirroredAt = [fixture.cloud2.id]
        let leaving = fixture.decide()
        #expect(leaving.target == fixture.cloud2.id)
        #expect(leaving.term("mounts missing", of: "cloud1") == Double(ByteCount.gibibytes(2).bytes))
    }

    @Test("Unknown work stays until the origin is busy")
    func unknown() throws {
        var fixture = try Fixture(.completion)
        fixture.edge.measures.coreSpeed = 0.1
        let calm = fixture.decide()
        #expect(calm.target == fixture.edge.id)
        #expect(calm.reason.contains("nothing is known of this work"))
        fixture.edge.measures.cpu = 0.9
        let busy = fixture.decide()
        #expect(busy.target != fixture.edge.id)
        #expect(busy.term("work", of: "edge") == CompletionForecast.presumedWork)
    }

    @Test("A link that has carried no bulk, or was never measured, is presumed", arguments: [0, 1, 31_999.0])
    func presumed(bandwidth: Double) throws {
        var fixture = try Fixture(.completion)
        fixture.learn(100)
        fixture.edge.measures.bandwidth = bandwidth
        fixture.edge.measures.gatewayRTT = 0
        fixture.cloud1.measures.bandwidth = bandwidth
        let decision = fixture.decide()
        #expect(decision.term("bandwidth", of: "cloud1") == CompletionForecast.presumedBandwidth)
        #expect(decision.term("round trip", of: "cloud1") == CompletionForecast.presumedRTT + 0.01)
    }

    @Test("Near-equals stay at home")
    func nearEqual() throws {
        var fixture = try Fixture(.completion)
        fixture.learn(100)
        fixture.cloud1.measures.coreSpeed = 1.03
        fixture.cloud2.measures.coreSpeed = 1.03
        fixture.edge.capacity.cpus = 8
        #expect(fixture.decide().target == fixture.edge.id)
        fixture.cloud1.measures.coreSpeed = 1.2
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("An origin without the tags is the last resort")
    func tags() throws {
        var fixture = try Fixture(.completion)
        fixture.request.policy.tags = ["gpu"]
        #expect(fixture.decide().target == fixture.cloud1.id)
        fixture.request.policy.tags = ["fpga"]
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.first?.contains("fpga") == true)
    }
}

@Suite("What has been learned")
struct WorkEstimatesTests {
    @Test("Quantiles are of the last runs, and old ones are forgotten")
    func quantiles() {
        var estimates = WorkEstimates()
        #expect(estimates.work("k") == nil)
        for seconds in 1...10 { estimates.learn("k", coreSeconds: Double(seconds)) }
        #expect(estimates.work("k") == .init(median: 6, high: 10, runs: 10))
        for _ in 0..<WorkEstimates.runsKept { estimates.learn("k", coreSeconds: 100) }
        #expect(estimates.work("k") == .init(median: 100, high: 100, runs: WorkEstimates.runsKept))
    }

    @Test("Impossible figures and nameless work teach nothing", arguments: [Double.nan, .infinity, -1])
    func impossible(seconds: Double) {
        var estimates = WorkEstimates()
        estimates.learn("k", coreSeconds: seconds)
        estimates.learn("", coreSeconds: 1)
        #expect(estimates.work("k") == nil)
        #expect(estimates.work("") == nil)
    }

    @Test(
        "Only runs that ended well teach",
        arguments: [
            (WorkloadState.exited, Int32?.some(0), 8.0), (.removed, 0, 8), (.exited, 1, nil), (.running, 0, nil),
            (.exited, nil, nil),
        ] as [(WorkloadState, Int32?, Double?)])
    func runs(state: WorkloadState, exitCode: Int32?, expected: Double?) throws {
        var estimates = WorkEstimates()
        let edge = try NodeID("edge")
        estimates.learn(
            Workload(
                id: .random(), tenant: .main, origin: edge, target: edge, state: state,
                version: Version(epoch: 1, sequence: 1), exitCode: exitCode, startedAt: 100, finishedAt: 104,
                workKey: "k"),
            coreSpeed: 2)
        #expect(estimates.work("k")?.median == expected)
    }

    @Test("What was used least recently goes first")
    func bounded() throws {
        var estimates = WorkEstimates(limit: 2)
        for key in ["a", "b", "a", "c"] { estimates.learn(key, coreSeconds: 1) }
        #expect(estimates.work("b") == nil)
        #expect(estimates.work("a") != nil && estimates.work("c") != nil)
        let node = try NodeID("n")
        for image in ["1", "2", "3"] { estimates.note(image: image, at: node) }
        #expect(estimates.holders(of: "1").isEmpty)
        #expect(estimates.holders(of: "3") == [node])
        estimates.forget(node)
        #expect(estimates.holders(of: "3").isEmpty)
    }
}
