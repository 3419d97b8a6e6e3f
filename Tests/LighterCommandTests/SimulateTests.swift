import ArgumentParser
import Fleet
import Testing
import Wire

@testable import lighter

@Suite("Simulating a fleet")
struct SimulateTests {
    @Test("Without arguments it runs on a gateway of its own")
    func defaults() throws {
        let command = try Simulate.parse([])
        #expect(command.gateway == nil)
        #expect(command.nodes == 1000)
        #expect(command.heartbeat.seconds == 1)
    }

    @Test("A real fleet is not touched unless that is said", arguments: [[], ["--data", "/var/lib/lighter-gateway"]])
    func realFleet(more: [String]) throws {
        let error = #expect(throws: (any Error).self) { _ = try Simulate.parse(["--gateway", "10.0.0.1:7700"] + more) }
        let said = error.map { Simulate.message(for: $0) } ?? ""
        #expect(said.contains("--real-fleet"))
    }

    @Test("With a gateway, its authority must be there to certify the nodes")
    func authority() throws {
        #expect(throws: (any Error).self) { _ = try Simulate.parse(["--gateway", "h:1", "--real-fleet"]) }
        let command = try Simulate.parse(["--gateway", "h:1", "--real-fleet", "--data", "/d", "--pid", "7"])
        #expect(command.pid == 7)
    }

    @Test(
        "What makes no sense is refused",
        arguments: [
            ["--nodes", "0"], ["--nodes", "50001"], ["--tasks", "-1"], ["--batch", "257"], ["--in-flight", "0"],
            ["--heartbeat", "0s"], ["--connecting", "0"], ["--restless", "101"], ["--real-fleet"], ["--data", "/d"],
            ["--pid", "1"],
            ["--gateway", "nowhere", "--real-fleet", "--data", "/d"],
        ])
    func refused(arguments: [String]) {
        #expect(throws: (any Error).self) { _ = try Simulate.parse(arguments) }
    }

    @Test(
        "Every task and every report under way belongs to one node",
        arguments: [(1, 10, 1, 4), (7, 100, 3, 16), (1000, 10, 1, 64), (10, 0, 1, 5), (3, 1000, 256, 1000)])
    func shares(nodes: Int, tasks: Int, batch: Int, inFlight: Int) {
        let plan = SimulationPlan(
            nodes: nodes, tasks: tasks, batch: batch, inFlight: inFlight, heartbeat: .seconds(1), restless: 10,
            rest: .zero,
            connecting: 1, reconnects: false)
        let shares = (0..<nodes).map { plan.share(of: $0) }
        #expect(shares.map(\.tasks).reduce(0, +) == tasks)
        #expect(shares.map(\.lanes).reduce(0, +) <= max(1, inFlight))
        #expect(shares.allSatisfy { $0.tasks == 0 || $0.lanes > 0 })
    }

    @Test("Restless nodes are spread over the fleet", arguments: [0, 1, 10, 33, 100])
    func restless(percent: Int) {
        let plan = SimulationPlan(
            nodes: 1000, tasks: 0, batch: 1, inFlight: 1, heartbeat: .seconds(1), restless: percent, rest: .zero,
            connecting: 1, reconnects: false)
        let chosen = (0..<1000).filter { plan.isRestless($0) }
        #expect(chosen.count == 10 * percent)
        #expect(chosen.prefix { $0 < 100 }.count == percent)
    }

    @Test("A node's tasks go through every state once, and its checksum follows", arguments: [1, 4])
    func tasks(batch: Int) throws {
        let node = try NodeID("sim-00001")
        var tasks = SimulatedTasks(node: node, share: .init(lanes: 3, tasks: 10), batch: batch, sequence: 5)
        var seen: [String: [String]] = [:]
        var present: [WorkloadID: Version] = [:]
        var waiting: [UInt64] = []
        var updates = 0
        while !tasks.isDone {
            while let report = tasks.next() {
                waiting.append(report.sequence)
                for workload in report.workloads {
                    seen[workload.id, default: []].append(workload.state)
                    let version = Version(epoch: 0, sequence: workload.sequence)
                    present[try WorkloadID(workload.id)] = workload.state == "removed" ? nil : version
                }
            }
            #expect(tasks.checksum == InventoryChecksum(present.map { ($0.key, $0.value) }))
            #expect(tasks.count == present.count)
            guard let report = waiting.popLast() else { break }
            updates += tasks.acknowledge(report)
        }
        #expect(updates == 40)
        #expect(seen.count == 10)
        #expect(seen.values.allSatisfy { $0 == ["created", "running", "exited", "removed"] })
    }

    @Test("Quantiles of delays are right within the width of a bucket")
    func quantiles() {
        var delays = DelayHistogram()
        for millisecond in 1...1000 { delays.add(seconds: Double(millisecond) / 1000) }
        #expect((0.47...0.54).contains(delays.quantile(0.5)))
        #expect((0.94...1.05).contains(delays.quantile(0.99)))
        #expect(DelayHistogram().quantile(0.5) == 0)
    }
}
