import ArgumentParser
import Authority
import Fleet
import Foundation
import Session

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts simulated nodes on a gateway and measures how it bears them.",
        discussion: """
            Starts a gateway of its own in a scratch folder, certifies the nodes with its authority, and connects them by \
            TLS over loopback. Then the tasks are run: each goes through created, running, exited and removed, one update \
            for each state, each awaited until it is acknowledged as durable. Nodes report as real ones do: at once, and \
            while a report is under way what there is to say goes together. Then the nodes only beat for --seconds, and say \
            in it what real ones would. No container is started.
            """)

    @Option(help: "Simulated nodes: 1 to 50000.")
    var nodes = 1000

    @Option(help: "Tasks that are run over all nodes; each is four updates.")
    var tasks = 10_000

    @Option(help: "Tasks that go through their states together: 1 to 256.")
    var batch = 1

    @Option(help: "Tasks (or batches of them) over all nodes that are under way at once.")
    var inFlight = 1024

    @Option(help: "How often each node beats; for a gateway of its own also what it is told.")
    var heartbeat = Lifetime.second

    @Option(
        help: "Nodes of a hundred that are at work, their load another with every heartbeat; the others are at rest.")
    var restless = 10

    @Option(help: "How long the nodes only beat, for CPU and memory at rest; 0 for not at all.")
    var seconds = 10

    @Option(help: "Nodes that connect at once while the fleet is built up.")
    var connecting = 64

    @Flag(help: "At the end cut all links at once, and measure until every node is back.")
    var reconnect = false

    @Option(help: "HOST:PORT of a gateway that runs already; needs --data and --real-fleet.")
    var gateway: String?

    @Option(help: "The data folder of that gateway, whose authority certifies the simulated nodes.")
    var data: String?

    @Flag(help: "Yes, put simulated nodes and tasks into the ledger of --gateway; they are not taken out again.")
    var realFleet = false

    @Option(help: "The process of --gateway, for its CPU and memory, where it runs on this machine.")
    var pid: Int32?

    @OptionGroup var output: FormatOption

    func validate() throws {
        for (option, value, range) in [
            ("--nodes", nodes, 1...50_000), ("--tasks", tasks, 0...100_000_000), ("--batch", batch, 1...256),
            ("--in-flight", inFlight, 1...1_000_000), ("--seconds", seconds, 0...86_400),
            ("--connecting", connecting, 1...10_000), ("--restless", restless, 0...100),
        ] where !range.contains(value) {
            throw ValidationError("\(option) \(value): from \(range.lowerBound) to \(range.upperBound)")
        }
        guard let gateway else {
            guard data == nil, pid == nil, !realFleet else {
                throw ValidationError("--data, --pid and --real-fleet belong to --gateway")
            }
            return
        }
        guard HostPort(gateway) != nil else { throw ValidationError("--gateway: write '\(gateway)' as HOST:PORT") }
        guard realFleet else {
            throw ValidationError(
                "--gateway is a real fleet: its ledger would keep \(nodes) nodes that do not exist; say --real-fleet if "
                    + "that is what you want, or leave --gateway out")
        }
        guard data != nil else {
            throw ValidationError("--gateway needs --data, the gateway's data folder, to certify the simulated nodes")
        }
    }

    func run() async throws {
        do {
            let report = try await gateway == nil ? runOnScratch() : runOnGateway()
            try output.format.show(report) { report.text }
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure(error)
        }
    }

    private func runOnScratch() async throws -> SimulationReport {
        let scratch = try ScratchGateway()
        let signals = scratch.removeOnSignal()
        defer { for source in signals { source.cancel() } }
        let report: SimulationReport
        do {
            try OpenFiles.allow(nodes + 256)
            try await scratch.start(heartbeat: heartbeat)
            report = try await simulate(scratch.address, scratch.authorityFolder, pid: scratch.pid)
        } catch {
            await scratch.remove()
            throw error
        }
        await scratch.remove()
        return report
    }

    private func runOnGateway() async throws -> SimulationReport {
        try OpenFiles.allow(nodes + 256)
        return try await simulate(gateway ?? "", (data ?? "") + "/authority", pid: pid)
    }

    private func simulate(_ address: String, _ authority: String, pid: Int32?) async throws -> SimulationReport {
        let simulation = Simulation(
            authority: try CertificateAuthority.load(from: authority), gateway: try Endpoint(address), pid: pid,
            plan: SimulationPlan(
                nodes: nodes, tasks: tasks, batch: batch, inFlight: inFlight, heartbeat: .seconds(heartbeat.seconds),
                restless: restless, rest: .seconds(seconds), connecting: connecting, reconnects: reconnect))
        return try await simulation.run()
    }
}
