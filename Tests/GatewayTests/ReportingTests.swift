import Fleet
import FoundationEssentials
import Gateway
import Link
import NIOCore
import Session
import Testing
import Trust
import Wire

@Suite(.timeLimit(.minutes(2)))
struct ReportingTests {
    @Test("What a node reports is in the gateway's ledger once it is acknowledged, and listed for operators")
    func reportIsKept() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let node = try scene.node("edge", of: gateway)
                try await scene.running(node) {
                    let workload = try Workload.sample(at: "edge")
                    node.report(workload)
                    try await eventually("the report is acknowledged") { node.isSettled }
                    let listed = try await scene.withOperator(gateway) { try await $0.workloads() }
                    #expect(listed.map(\.id) == [workload.id])
                    #expect(listed.first?.state == .running)
                    #expect(listed.first?.target.name == "edge")
                }
            }
        }
    }

    @Test("A burst of changes of one workload ends in the last one")
    func coalescing() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let node = try scene.node("edge", of: gateway)
                try await scene.running(node) {
                    var workload = try Workload.sample(at: "edge")
                    for round in 0..<2000 {
                        workload.state = round.isMultiple(of: 2) ? .paused : .running
                        workload.error = "\(round)"
                        node.report(workload)
                    }
                    try await eventually("the reports are acknowledged") { node.isSettled }
                    let id = workload.id.hex
                    let known = try await scene.withOperator(gateway) { try await $0.explain(id) }
                    #expect(known.error == "1999")
                    #expect(known.state == .running)
                }
            }
        }
    }

    @Test("An older version, a repeated one and one from another node change nothing")
    func staleReports() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                var workload = try Workload.sample(at: "edge")
                workload.version = Version(epoch: 1, sequence: 10)
                try await raw.report(1, [workload])
                for (number, sequence) in [(UInt64(2), UInt64(9)), (3, 10)] {
                    var stale = workload
                    stale.state = .exited
                    stale.version.sequence = sequence
                    try await raw.report(number, [stale])
                }
                let thief = try await RawNode.connect(scene, "thief", to: gateway)
                try await thief.hello()
                var stolen = workload
                stolen.state = .removed
                stolen.version = Version(epoch: 99, sequence: 1)
                try await thief.report(1, [stolen])
                let id = workload.id.hex
                let known = try await scene.withOperator(gateway) { try await $0.explain(id) }
                #expect(known.state == .running)
                #expect(known.version == Version(epoch: 1, sequence: 10))
                raw.control.link.close(nil)
                thief.control.link.close(nil)
            }
        }
    }

    @Test("What a full report leaves out is removed, with a note; what a partial one leaves out stays")
    func fullReport() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                var kept = try Workload.sample(at: "edge")
                var gone = try Workload.sample(at: "edge")
                kept.version.sequence = 1
                gone.version.sequence = 2
                try await raw.report(1, [kept, gone])
                kept.version.sequence = 3
                try await raw.report(2, [kept])
                #expect(try await scene.withOperator(gateway) { try await $0.workloads().count } == 2)
                try await raw.report(3, isFull: true, [kept])
                let known = try await scene.withOperator(gateway) { [gone] in try await $0.explain(gone.id.hex) }
                #expect(known.state == .removed)
                #expect(known.error.contains("edge"))
                #expect(try await scene.withOperator(gateway) { try await $0.workloads().count } == 1)
                raw.control.link.close(nil)
            }
        }
    }

    @Test("A heartbeat over what was never reported makes the gateway ask for a full report")
    func checksumMismatch() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                raw.control.send(.heartbeat(.with(checksum: 12345, workloads: 1)))
                try await eventually("the gateway answers") {
                    raw.bodies.contains { if case .heartbeatAck(let ack) = $0 { ack.wantFullReport } else { false } }
                }
                raw.control.link.close(nil)
            }
        }
    }

    @Test("A heartbeat without news keeps its node there, and is answered only where the gateway wants something")
    func leanHeartbeats() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ $0.heartbeat = .milliseconds(800) }) { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                var quiet = Lighter_V1_Heartbeat()
                (quiet.quiet, quiet.same) = (true, true)
                // Longer than it takes to be lost.
                for index in 0..<16 {
                    raw.control.send(.heartbeat(index.isMultiple(of: 2) ? quiet : Lighter_V1_Heartbeat()))
                    try await Task.sleep(for: .milliseconds(200))
                }
                #expect(raw.asked.isEmpty)
                let nodes = try await scene.withOperator(gateway) { try await $0.nodes() }
                #expect(nodes.first { $0.id.name == "edge" }?.state == .ready)
                quiet.same = false
                (quiet.checksum, quiet.workloads) = (12345, 1)
                raw.control.send(.heartbeat(quiet))
                try await eventually("the gateway asks") { raw.asked == [true] }
                // Told once, it stays so: it is asked for again, but not at once.
                (quiet.same, quiet.checksum, quiet.workloads) = (true, 0, 0)
                for _ in 0..<5 { raw.control.send(.heartbeat(quiet)) }
                try await eventually("the gateway asks again") { raw.asked == [true, true] }
                #expect(raw.leases.allSatisfy { $0 == 0 })
                raw.control.link.close(nil)
            }
        }
    }

    @Test("Measures that come alone leave the rest of the node as it was, and what cannot be read changes nothing")
    func loneMeasures() async throws {
        try await Scene.with { scene in
            // It is not late, however slow this machine is.
            try await scene.withGateway({ $0.heartbeat = .seconds(30) }) { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello(capacity: Resources(cpus: 4, memory: .gibibytes(4)))
                func edge() async throws -> Node? {
                    try await scene.withOperator(gateway) { try await $0.nodes() }.first { $0.id.name == "edge" }
                }
                let before = try #require(try await edge())
                for cpu in [0.625, -7] {
                    var heartbeat = Lighter_V1_Heartbeat()
                    (heartbeat.quiet, heartbeat.same, heartbeat.loneMeasures) = (true, true, true)
                    heartbeat.node.measures.cpu = cpu
                    raw.control.send(.heartbeat(heartbeat))
                }
                try await eventually("the gateway has heard") { try await edge()?.measures.cpu == 0.625 }
                var expected = before
                expected.measures = Measures()
                expected.measures.cpu = 0.625
                #expect(try await edge() == expected)
                raw.control.link.close(nil)
            }
        }
    }

    @Test("A heartbeat is compared with the reports before it, also where those are still being recorded")
    func checksumBehindReports() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                var checksum = InventoryChecksum()
                var sequence: UInt64 = 0
                for _ in 0..<40 {
                    var report = Lighter_V1_Report()
                    sequence += 1
                    report.sequence = sequence
                    var workload = try Workload.sample(at: "edge")
                    workload.version.sequence = sequence
                    report.workloads = [.init(workload)]
                    raw.control.send(.report(report))
                    checksum.add(workload.id, workload.version)
                    raw.control.send(.heartbeat(.with(checksum: checksum.value, workloads: sequence)))
                }
                let last = sequence
                try await eventually("all is acknowledged") { raw.acknowledged.contains(last) && raw.asked.count == 40 }
                #expect(raw.acknowledged == Array(1...last))
                #expect(!raw.asked.contains(true))
                // What is missed while a report is under way is told with a later heartbeat.
                var report = Lighter_V1_Report()
                report.sequence = last + 1
                report.workloads = [.init(try Workload.sample(at: "edge"))]
                raw.control.send(.report(report))
                raw.control.send(.heartbeat(.with(checksum: 1, workloads: 1)))
                try await eventually("the report is acknowledged") { raw.acknowledged.contains(last + 1) }
                raw.control.send(.heartbeat(.with(checksum: 1, workloads: 1)))
                try await eventually("the gateway asks") { raw.asked.contains(true) }
                raw.control.link.close(nil)
            }
        }
    }

    @Test("A list that is longer than a message takes says how many it leaves out, which are the oldest")
    func longList() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let raw = try await RawNode.connect(scene, "edge", to: gateway)
                try await raw.hello()
                for sequence in UInt64(1)...11 {
                    let workloads = try (0..<500).map { _ in
                        var workload = try Workload.sample(at: "edge")
                        workload.version.sequence = sequence
                        workload.createdAt = Double(sequence)
                        return workload
                    }
                    try await raw.report(sequence, workloads)
                }
                let listing = try await scene.withOperator(gateway) { try await $0.listing(all: true) }
                #expect(listing.workloads.count == 5000 && listing.omitted == 500)
                #expect(listing.workloads.allSatisfy { $0.createdAt > 1 })
                raw.control.link.close(nil)
            }
        }
    }

    @Test("Reports of many nodes at once are each acknowledged and kept, whatever becomes of the others")
    func manyNodes() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                var nodes: [RawNode] = []
                for number in 0..<8 {
                    let raw = try await RawNode.connect(scene, "edge\(number)", to: gateway)
                    try await raw.hello()
                    nodes.append(raw)
                }
                for sequence in UInt64(1)...50 {
                    for (number, raw) in nodes.enumerated() {
                        var report = Lighter_V1_Report()
                        report.sequence = sequence
                        var workload = try Workload.sample(at: "edge\(number)")
                        workload.version.sequence = sequence
                        report.workloads = [.init(workload)]
                        // One that cannot be read does not keep the rest of its report back.
                        if sequence == 7 { report.workloads.insert(Lighter_V1_WorkloadMessage(), at: 0) }
                        raw.control.send(.report(report))
                    }
                }
                for raw in nodes {
                    try await eventually("all is acknowledged") { raw.acknowledged == Array(1...50) }
                }
                #expect(try await scene.withOperator(gateway) { try await $0.workloads().count } == 400)
                for raw in nodes { raw.control.link.close(nil) }
            }
        }
    }

    @Test(
        "A ledger that fails leaves reports unacknowledged and placements refused; when it works again nothing is lost")
    func failingLedger() async throws {
        try await Scene.with { scene in
            let ledger = try FailingLedger(path: scene.path + "/ledger.sqlite")
            try await scene.withGateway(ledger: ledger) { gateway in
                let node = try scene.node("edge", of: gateway)
                try await scene.running(node) {
                    ledger.fails = true
                    let workload = try Workload.sample(at: "edge")
                    node.report(workload)
                    let request = WorkloadRequest(id: .random(), tenant: .main, origin: node.node, image: "busybox")
                    let error = await #expect(throws: SessionError.self) {
                        _ = try await node.place(request, refused: [:])
                    }
                    #expect(error?.code == .unavailable)
                    try await eventually("the report was tried") { ledger.refused > 1 }
                    #expect(!node.isSettled)
                    ledger.fails = false
                    try await eventually("the report is acknowledged") { node.isSettled }
                    #expect(try await node.place(request, refused: [:]).epoch == 1)
                }
            }
        }
    }
}
