import Agent
import Engine
import Fleet
import Logging
import Synchronization
import Trust

/// What this node is and does at this moment, for its heartbeats, its placements and its guard.
final class NodeDescription: Sendable {
    private struct State {
        var node: Node
        var meter: NodeMeter
        var diskPath: String
        var said = 0
    }

    private let state: Mutex<State>
    private let hasEngine: Bool
    private let inventory = Mutex<Weak>(Weak())
    private let logger = Logger(label: "measures")

    private struct Weak: Sendable {
        weak var inventory: Inventory?
    }

    /// Asks the engine, if it answers soon, what it is; measures the core's speed.
    init(_ options: DaemonOptions, node: NodeID, tenant: TenantID, dialer: UnixDialer) async {
        hasEngine = options.engine != nil
        let client = await DockerClient(dialer: dialer)
        let identity = hasEngine ? try? await EngineIdentity.read(client, timeout: .seconds(2)) : nil
        await client.close()
        let diskPath = identity?.dataRoot ?? options.state
        let meter = NodeMeter(
            NodeMeter.Configuration(cgroup: options.cgroup, diskPath: diskPath, coreSpeed: CoreSpeed.measured()))
        var described = Node(
            id: node, tenant: tenant, state: identity == nil ? .engineDown : .ready, bootID: meter.bootID,
            tags: options.tags, acceptsWork: options.acceptsWork && options.engine != nil)
        described.addresses = options.advertise.isEmpty ? options.listen.map { [$0] } ?? [] : options.advertise
        described.capacity = meter.capacity
        if let identity {
            described.platform = identity.platform
            described.engineVersion = identity.version
            described.engineAPIVersion = identity.apiVersion
        }
        state = Mutex(State(node: described, meter: meter, diskPath: diskPath))
    }

    func watch(_ inventory: Inventory) { self.inventory.withLock { $0.inventory = inventory } }

    var node: Node { state.withLock { $0.node } }

    /// What is free for one more container.
    var free: Headroom.Free {
        let (node, diskPath) = state.withLock { ($0.node, $0.diskPath) }
        var free = Headroom.Free.measure(dataRoot: diskPath)
        // A node that is a share of its machine has only what its share leaves.
        let used = Double(node.capacity.memory.bytes) * node.measures.memory
        let left = ByteCount(node.capacity.memory.bytes - Int64(used))
        if node.capacity.memory > .zero { free.memory = min(free.memory ?? left, left) }
        return free
    }

    /// Measures each second until cancelled.
    func keepMeasuring() async {
        while !Task.isCancelled {
            await sample()
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }

    private func sample() async {
        let inventory = self.inventory.withLock { $0.inventory }
        let engine = await inventory?.engine
        let isUp = await inventory?.isEngineUp ?? false
        let running = await inventory?.index.running ?? 0
        let complaints = state.withLock { state -> [String] in
            state.node.measures = state.meter.sample()
            state.node.measures.runningContainers = running
            state.node.capacity = state.meter.capacity
            // Until the watch has heard the engine once, what the first question found out holds.
            if let engine {
                state.node.state = isUp ? .ready : .engineDown
                state.node.platform = engine.platform
                state.node.engineVersion = engine.version
                state.node.engineAPIVersion = engine.apiVersion
            }
            defer { state.said = state.meter.unavailable.count }
            return Array(state.meter.unavailable.dropFirst(state.said))
        }
        for complaint in complaints { logger.notice("cannot be measured", metadata: ["what": "\(complaint)"]) }
    }
}
