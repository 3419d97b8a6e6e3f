import ArgumentParser
import Fleet
import Foundation
import Session

struct Nodes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the fleet's nodes as the gateway sees them, and says which take work.",
        subcommands: [NodesList.self, NodesDrain.self, NodesResume.self], defaultSubcommand: NodesList.self)
}

struct NodesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the fleet's nodes as the gateway sees them.")

    @OptionGroup var client: OperatorOptions
    @OptionGroup var output: FormatOption

    func run() async throws {
        let nodes = try await client.withClient { try await $0.nodes() }.sorted { $0.id < $1.id }
        try output.format.show(nodes.map(NodeRow.init)) {
            var table = Table(
                "NAME", "STATE", "CPUS", "CPU", "MEMORY", "RUNNING", "RTT", "LOST", "ENGINE", "ADDRESS", "TAGS")
            for node in nodes { table.add(node) }
            return table.text
        }
    }
}

/// A node as `--format json` shows it: names and units here are a promise to scripts.
struct NodeRow: Encodable {
    let name, state, tenant, platform, engineVersion: String
    let addresses, tags: [String]
    let cpus, cpuUsed, memoryUsed, gatewayRTTSeconds, bandwidthBytesPerSecond: Double
    let memoryBytes: Int64
    let reservedCPUs: Double
    let reservedMemoryBytes: Int64
    let runningContainers: Int
    let acceptsWork: Bool
    /// Whether an operator has it take no new work.
    let isDrained: Bool
    /// How often it was lost lately, each time counting half as much with every hour.
    let lostLately: Double
    /// While it is lost: what another node found where it was.
    let secondOpinion: SecondOpinion?

    init(_ node: Node) {
        name = node.id.name
        state = node.state.rawValue
        tenant = node.tenant.name
        platform = node.platform
        engineVersion = node.engineVersion
        addresses = node.addresses
        tags = node.tags
        cpus = node.capacity.cpus
        memoryBytes = node.capacity.memory.bytes
        reservedCPUs = node.reserved.cpus
        reservedMemoryBytes = node.reserved.memory.bytes
        cpuUsed = node.measures.cpu
        memoryUsed = node.measures.memory
        gatewayRTTSeconds = node.measures.gatewayRTT
        bandwidthBytesPerSecond = node.measures.bandwidth
        runningContainers = node.measures.runningContainers
        acceptsWork = node.acceptsWork
        isDrained = node.drainedSince != nil
        lostLately = node.lostLately
        secondOpinion = node.opinion
    }
}

extension Node {
    fileprivate var standing: String {
        [state.rawValue, drainedSince.map { _ in "drained" }, opinion?.text].compactMap(\.self).joined(separator: ", ")
    }

    fileprivate var lostLately: Double { losses?.count(at: Date().timeIntervalSince1970) ?? 0 }
}

extension Table {
    fileprivate mutating func add(_ node: Node) {
        let rtt = node.measures.gatewayRTT
        add(
            node.id.name, node.standing, node.capacity.cpus.short,
            node.measures.cpu.percent,
            "\(node.measures.memory.percent) of \(node.capacity.memory)", "\(node.measures.runningContainers)",
            rtt > 0 ? "\((rtt * 1000).short) ms" : "-",
            node.lostLately < RecentLosses.least ? "-" : node.lostLately.short,
            node.engineVersion.isEmpty ? "-" : node.engineVersion,
            node.addresses.first ?? "by relay", node.tags.joined(separator: ","))
    }
}

extension Double {
    /// With at most one decimal.
    var short: String {
        guard isFinite, magnitude < 1e15 else { return "-" }
        let tenths = (self * 10).rounded() / 10
        return tenths == tenths.rounded() ? "\(Int64(tenths))" : "\(tenths)"
    }

    var percent: String { "\((self * 100).rounded().short) %" }
}
