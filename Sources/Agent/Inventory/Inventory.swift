import DockerAPI
package import Engine
package import Fleet
package import Logging

/// Follows the node's engine and tells the control plane of every change of a workload here.
///
/// Everything in it comes from the engine, so a daemon that starts anew knows what the one before it knew. While the engine
/// is away nothing is said to be gone: only a full list that lacks a container says that.
@NodeLoop
package final class Inventory {
    package private(set) var index = ContainerIndex()
    /// Whether the engine answers; false until it has once.
    package private(set) var isEngineUp = false
    /// What the engine said of itself last.
    package private(set) var engine: EngineIdentity?
    /// Called when what workloads hold of this node has changed: at an exit, before the engine has said a word of it.
    package var capacityChanged: (@NodeLoop (Resources) -> Void)?

    private let node: NodeID
    let client: DockerClient
    private let exits: ExitWatch
    private let logger: Logger
    private let report: @Sendable (Workload) -> Void
    private var tokens: [String: ExitWatch.Token] = [:]
    private var reportedCapacity = Resources.none
    /// How containers ended, those that are gone too.
    package let exitCodes = ExitCodes()
    /// Containers of an earlier run of this daemon, of which the engine has said nothing yet.
    private var remembered: Set<String> = []
    /// What was known before the engine was last asked for its list.
    private var beforeList: Set<String>?

    /// - Parameters:
    ///   - report: takes a workload's new state: `ControlPlane.report`. Never blocks.
    package init(
        node: NodeID, client: DockerClient, exits: ExitWatch, logger: Logger,
        report: @escaping @Sendable (Workload) -> Void
    ) {
        self.node = node
        self.client = client
        self.exits = exits
        self.logger = logger
        self.report = report
    }

    /// What an `EngineWatch` of this engine has to tell.
    package nonisolated var handlers: EngineWatch.Handlers {
        EngineWatch.Handlers(
            listing: { [weak self] in if let self { self.beforeList = Set(self.index.records.keys) } },
            up: { [weak self] identity, list in await self?.engineUp(identity, list) },
            down: { [weak self] _ in self?.isEngineUp = false },
            event: { [weak self] event in await self?.apply(event) })
    }

    // MARK: - What the front door tells

    /// Follows a container of this device's own work, whose labels say nothing; its state is reported from now on.
    package func adopt(containerID: String, workload: Workload) {
        guard index[containerID] == nil else { return }
        var workload = workload
        workload.containerID = containerID
        if workload.state == .pending { workload.state = .created }
        keep(ContainerRecord(id: containerID, name: workload.name, workload: workload, isLocal: true))
        report(workload)
    }

    /// Follows again what an earlier run of this daemon adopted; reported once the engine has told its state.
    package func remember(containerID: String, workload: Workload) {
        guard index[containerID] == nil else { return }
        remembered.insert(containerID)
        keep(ContainerRecord(id: containerID, name: workload.name, workload: workload, isLocal: true))
    }

    // MARK: - What the guard tells

    /// A create that the guard let through was answered with this id; the engine's event may still be on its way.
    func noteCreated(_ id: String, name: String, body: JSON) {
        guard index[id] == nil else { return }
        let inspection: JSON = [
            "Id": .string(id), "Name": .string(name), "Config": body, "HostConfig": body["HostConfig"] ?? .null,
            "State": ["Status": "created"],
        ]
        guard let record = EngineReading.record(inspect: inspection) else { return }
        learn(record)
    }

    func noteExec(_ exec: String, of container: String) { index.noteExec(exec, of: container) }

    /// Keeps and reports a container that no event has told of yet.
    func learn(_ record: ContainerRecord) {
        guard index[record.id] == nil else { return }
        keep(record)
        report(record.workload)
    }

    // MARK: - What the engine tells

    /// Brings everything in line with the engine's full list.
    func engineUp(_ identity: EngineIdentity, _ list: [JSON]) async {
        engine = identity
        isEngineUp = true
        let listed = Set(list.compactMap { $0["Id"]?.stringValue })
        // What was made while the engine was asked need not be in its list.
        for id in beforeList ?? Set(index.records.keys) where !listed.contains(id) { gone(id) }
        beforeList = nil
        for container in list {
            guard let id = container["Id"]?.stringValue else { continue }
            let isOurs = container["Labels"]?[WorkloadLabels.workload] != nil
            guard isOurs || index[id] != nil else { continue }
            await refresh(id)
        }
    }

    func apply(_ event: EngineEvent) async {
        guard event.type == "container", !event.action.hasPrefix("exec_") else { return }
        let id = event.actorID
        noteExitCode(event)
        guard var record = index[id] ?? EngineReading.record(id: id, attributes: event.attributes) else { return }
        let isNew = index[id] == nil
        // A container that a list had shown and that is gone since must not come back by an event that came late.
        if isNew, event.action != "create", event.action != "start" { return }
        guard
            EngineReading.apply(
                action: event.action, attributes: event.attributes, nanoseconds: event.timeNano, to: &record)
        else { return }
        if record.workload.state == .removed { return gone(id) }
        keep(record)
        report(record.workload)
        if event.action == "die" { forgetExit(id) }
        if event.action == "start" { await watchExit(of: id) }
        if isNew { await refresh(id) }
    }

    /// Of any container: whoever waits for it may do so before it is known here.
    private func noteExitCode(_ event: EngineEvent) {
        switch event.action {
        case "start": exitCodes.forget(event.actorID)
        case "die": exitCodes.put(event.attributes["exitCode"].flatMap { Int64($0) }, of: event.actorID)
        case "destroy": exitCodes.put(nil, of: event.actorID)
        default: break
        }
    }

    /// Asks the engine for all of a container's state; nothing changes when it cannot be asked.
    private func refresh(_ id: String) async {
        guard let json = await inspect(id) else { return }
        guard var record = index[id] ?? EngineReading.record(inspect: json) else { return }
        let before = index[id]
        EngineReading.apply(inspect: json, to: &record.workload)
        record.hasEnded = !record.workload.state.holdsCapacity
        record.eventTime = max(record.eventTime, EngineReading.stateTime(record.workload))
        if record != before { keep(record) }
        if remembered.remove(id) != nil || record.workload != before?.workload { report(record.workload) }
        if let pid = EngineReading.pid(inspect: json) { watch(pid, of: id) }
    }

    private func inspect(_ id: String) async -> JSON? {
        do throws(EngineError) {
            let answer = try await client.request(
                "GET", "/containers/\(id)/json", limit: 4 << 20, timeout: .seconds(30))
            return answer.status == 200 ? try answer.json() : nil
        } catch {
            logger.debug("container not inspected", metadata: ["container": "\(id.prefix(12))", "reason": "\(error)"])
            return nil
        }
    }

    // MARK: - Exits

    private func watchExit(of id: String) async {
        guard let json = await inspect(id), let pid = EngineReading.pid(inspect: json) else { return }
        watch(pid, of: id)
    }

    private func watch(_ pid: Int32, of id: String) {
        guard let record = index[id], record.holdsCapacity, tokens[id] == nil else { return }
        let outcome = exits.watch(pid: pid, containerID: id) { [weak self] time in
            NodeLoop.assumeIsolated { self?.ended(id, at: time) }
        }
        if case .watching(let token) = outcome { tokens[id] = token }
    }

    /// The kernel says that the process is gone: its capacity is free now. The engine's `die` brings the exit code.
    private func ended(_ id: String, at time: Double) {
        tokens[id] = nil
        guard var record = index[id], !record.hasEnded else { return }
        record.hasEnded = true
        record.workload.finishedAt = time
        keep(record)
    }

    private func forgetExit(_ id: String) {
        if let token = tokens.removeValue(forKey: id) { exits.cancel(token) }
    }

    // MARK: - Keeping

    private func keep(_ record: ContainerRecord) {
        index.put(record)
        noteCapacity()
    }

    private func gone(_ id: String) {
        forgetExit(id)
        remembered.remove(id)
        guard let record = index.remove(id) else { return }
        var workload = record.workload
        workload.state = .removed
        noteCapacity()
        report(workload)
    }

    private func noteCapacity() {
        let reserved = index.reserved
        guard reserved != reportedCapacity else { return }
        reportedCapacity = reserved
        capacityChanged?(reserved)
    }
}
