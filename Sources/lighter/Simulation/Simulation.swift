import Authority
import Fleet
import Foundation
import Link
import Logging
import NIOCore
import NIOPosix
import Session
import Synchronization
import Trust

/// Connects simulated nodes to a gateway, puts their tasks through it, and lets them beat.
struct Simulation {
    let authority: CertificateAuthority
    let gateway: Endpoint
    /// The gateway's process, where it is known.
    let pid: Int32?
    let plan: SimulationPlan

    private let tally = SimulationTally()
    private let clock = ContinuousClock()

    init(authority: CertificateAuthority, gateway: Endpoint, pid: Int32?, plan: SimulationPlan) {
        self.authority = authority
        self.gateway = gateway
        self.pid = pid
        self.plan = plan
    }

    func run() async throws -> SimulationReport {
        guard let address = try await gateway.resolve().first else {
            throw CommandFailure("\(gateway) has no address")
        }
        let agents = try await certify(address)
        var report = SimulationReport()
        report.nodes = agents.count
        (report.connectSeconds, report.connectUsage) = try await measured { try await connect(agents) }
        try await runTasks(agents, &report)
        try await rest(&report)
        if plan.reconnects { try await storm(agents, &report) }
        report.errors = tally.take().errors
        for agent in agents { agent.close() }
        return report
    }

    /// Nodes with certificates, on two threads: their keys take longer than all else before the connection.
    private func certify(_ address: SocketAddress) async throws -> [SimulatedAgent] {
        try await withThrowingTaskGroup(of: [SimulatedAgent].self) { group in
            let part = max(1, (plan.nodes + 1) / 2)
            for first in stride(from: 0, to: plan.nodes, by: part) {
                group.addTask {
                    try (first..<min(first + part, plan.nodes)).map {
                        try SimulatedAgent(
                            number: $0, plan: plan, address: address, authority: authority, tally: tally)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func connect(_ agents: [SimulatedAgent]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, agent) in agents.enumerated() {
                if index >= plan.connecting { try await group.next() }
                group.addTask { _ = try await agent.stay() }
            }
            try await group.waitForAll()
        }
    }

    private func runTasks(_ agents: [SimulatedAgent], _ report: inout SimulationReport) async throws {
        guard plan.tasks > 0 else { return }
        _ = tally.take()
        let (seconds, usage) = try await measured {
            for agent in agents { agent.begin() }
            for agent in agents { try await agent.finished() }
        }
        let figures = tally.take()
        report.updates = figures.updates
        report.updatesPerSecond = Double(figures.updates) / seconds
        report.updatesPerReport = Double(figures.updates) / Double(max(1, figures.reports))
        report.acknowledged = Self.delay(figures.acknowledged)
        report.updatesUsage = usage
    }

    private func rest(_ report: inout SimulationReport) async throws {
        guard plan.rest > .zero else { return }
        try await quiet()
        _ = tally.take()
        let (seconds, usage) = try await measured { try await clock.sleep(for: plan.rest) }
        let figures = tally.take()
        report.restSeconds = seconds
        report.heartbeatsPerSecond = Double(figures.heartbeats) / seconds
        report.heartbeatAnswered = Self.delay(figures.answered)
        report.pushedBytesPerSecond = Double(figures.pushedBytes) / seconds
        report.restUsage = usage
    }

    /// Waits until the nodes have been told of each other, for two minutes at most: what is pushed then is of heartbeats.
    private func quiet() async throws {
        for _ in 0..<120 {
            _ = tally.take()
            try await clock.sleep(for: .seconds(1))
            if tally.take().pushedBytes < 8_000_000 { return }
        }
    }

    /// Every link is cut, and every node comes back as real ones do: by itself, after drawn waits that grow.
    private func storm(_ agents: [SimulatedAgent], _ report: inout SimulationReport) async throws {
        for agent in agents { agent.close() }
        let began = clock.now
        let (seconds, usage) = try await measured {
            let outcome = try await withThrowingTaskGroup(of: (after: Duration, refusals: Int).self) { group in
                for agent in agents {
                    group.addTask {
                        let refusals = try await agent.stay()
                        return (clock.now - began, refusals)
                    }
                }
                var delays = DelayHistogram()
                var refusals = 0
                for try await one in group {
                    delays.add(seconds: one.after / .seconds(1))
                    refusals += one.refusals
                }
                return (delays, refusals)
            }
            report.reconnected = Self.delay(outcome.0)
            report.refusedWhileReconnecting = outcome.1
        }
        report.reconnectSeconds = seconds
        report.reconnectUsage = usage
    }

    private func measured(_ body: () async throws -> Void) async throws -> (Double, SimulationReport.Usage?) {
        let before = pid.flatMap(ProcessUsage.init)
        let began = clock.now
        try await body()
        let seconds = (clock.now - began) / .seconds(1)
        guard let before, let after = pid.flatMap(ProcessUsage.init) else { return (seconds, nil) }
        return (seconds, after.since(before, seconds: seconds))
    }

    private static func delay(_ histogram: DelayHistogram) -> SimulationReport.Delay {
        .init(
            p50Milliseconds: histogram.quantile(0.5) * 1000, p99Milliseconds: histogram.quantile(0.99) * 1000)
    }
}
