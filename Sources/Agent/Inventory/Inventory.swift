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

    /// Who holds the leases of exclusive containers; told of all that becomes of them.
    weak var exclusive: LeaseKeeper?
    /// Who tells of changes here.
    package var sources: EventSources

    let node: NodeID
    let client: DockerClient
    private let exits: ExitWatch
    private let used: Set<KernelSource>
    let logger: Logger
    private let report: @Sendable (Workload) -> Void
    private(set) var tokens: [String: ExitWatch.Token] = [:]
    private var reportedCapacity = Resources.none
    /// How containers ended, those that are gone too.
    package let exitCodes = ExitCodes()
    private(set) var goneContainers = GoneContainers()
    /// Containers of an earlier run of this daemon, of which the engine has said nothing yet.
    private var remembered: Set<String> = []
    /// What was known before the engine was last asked for its list.
    private var beforeList: Set<String>?

    /// - Parameters:
    ///   - used: what of the kernel's is listened to; its starts only once `follow` is called, too.
    ///   - report: takes a workload's new state: `ControlPlane.report`. Never blocks.
    package init(
        node: NodeID, client: DockerClient, exits: ExitWatch, used: Set<KernelSource> = [.pidfd, .cgroup],
        logger: Logger,
        report: @escaping @Sendable (Workload) -> Void
    ) {
        self.node = node
        self.client = client
        self.exits = exits
        self.used = used
        sources = EventSources(used: used)
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
    ///
    /// One that is known already may have become other work to the gateway. One that its users know by another id has that as
    /// the workload's.
    package func adopt(containerID: String, workload: Workload) {
        if let known = index[containerID], !known.isLocal || known.workload.id == workload.id { return }
        var workload = workload
        if workload.containerID.isEmpty { workload.containerID = containerID }
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
        guard var record = EngineReading.record(inspect: inspection) else { return }
        let named = body["HostConfig"]?["Runtime"]?.stringValue ?? ""
        let runtime = named.isEmpty ? engine?.defaultRuntime ?? "" : named
        if !runtime.isEmpty { record.runsItsProcess = EngineReading.isOwnProcess(runtime: runtime) }
        learn(record)
    }

    func noteExec(_ exec: String, of container: String) { index.noteExec(exec, of: container) }

    /// Keeps and reports a container that no event has told of yet.
    func learn(_ record: ContainerRecord) {
        guard index[record.id] == nil else { return }
        keep(record)
        tell(record)
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
        let known = index[id]
        guard var record = known ?? EngineReading.record(id: id, attributes: event.attributes) else { return }
        // A container that a list had shown and that is gone since must not come back by an event that came late.
        if known == nil, event.action != "create", event.action != "start" { return }
        guard
            EngineReading.apply(
                action: event.action, attributes: event.attributes, nanoseconds: event.timeNano, to: &record)
        else { return }
        if record.workload.state == .removed { return gone(id) }
        keep(record)
        // Of what the kernel has told the engine says nothing new.
        if record.workload != known?.workload {
            sources.noteEngine()
            tell(record)
        }
        if event.action == "die" {
            forgetExit(id)
            noteDisagreement(known, record)
        }
        if event.action == "start" { await watchExit(of: id) }
        if known == nil { await refresh(id) }
    }

    private func noteDisagreement(_ known: ContainerRecord?, _ record: ContainerRecord) {
        guard let first = known?.workload.exitCode, first != record.workload.exitCode else { return }
        logger.notice(
            "the engine's exit code counts, not the kernel's",
            metadata: [
                "container": "\(record.id.prefix(12))", "kernel": "\(first)",
                "engine": "\(record.workload.exitCode.map(String.init) ?? "none")",
            ])
    }

    /// Of any container: whoever waits for it may do so before it is known here.
    private func noteExitCode(_ event: EngineEvent) {
        switch event.action {
        // Of a run that the kernel has told of, its end may be known already.
        case "start": if index[event.actorID]?.awaitsEngine != true { exitCodes.forget(event.actorID) }
        case "die": exitCodes.put(event.attributes["exitCode"].flatMap { Int64($0) }, of: event.actorID)
        case "destroy": exitCodes.put(nil, of: event.actorID)
        default: break
        }
    }

    /// Asks the engine for all of a container's state; nothing changes when it cannot be asked.
    func refresh(_ id: String) async {
        // What happens while it answers may be newer than the answer: then it is asked again.
        for _ in 0..<3 {
            let before = index[id]
            guard let json = await inspect(id) else { return }
            guard index[id] == before else { continue }
            take(inspection: json, of: id)
            return
        }
    }

    private func take(inspection json: JSON, of id: String) {
        let before = index[id]
        guard var record = before ?? EngineReading.record(inspect: json) else { return }
        let pid = EngineReading.pid(inspect: json)
        var inspected = record.workload
        EngineReading.apply(inspect: json, to: &inspected)
        // The engine does not know yet what the kernel has told.
        if isBehindKernel(inspected, pid: pid, record) { return }
        // The kernel's time is nearer to the truth.
        if pid != nil, pid == record.kernelPid { inspected.startedAt = record.workload.startedAt }
        record.workload = inspected
        record.runsItsProcess = EngineReading.runsItsProcess(inspect: json)
        if record.ranOutOfMemory { record.outOfMemory() }
        if let name = json["Name"]?.stringValue.map(EngineReading.trimmed), !name.isEmpty, name != record.name {
            record.name = name
            record.workload.name = record.userName
        }
        record.hasEnded = !record.workload.state.holdsCapacity
        record.endedPid = nil
        record.eventTime = max(record.eventTime, EngineReading.stateTime(record.workload))
        if record != before { keep(record) }
        if remembered.remove(id) != nil || record.workload != before?.workload { tell(record) }
        if record.hasEnded { forgetExit(id) }
        if let pid { watch(pid, of: id) }
    }

    private func inspect(_ id: String) async -> JSON? {
        do throws(EngineError) {
            let answer = try await client.request(
                "GET", "/containers/\(id)/json", limit: 4 << 20, timeout: .seconds(30))
            // Not by `?:`, where nil would be JSON's.
            guard answer.status == 200 else { return nil }
            return try answer.json()
        } catch {
            logger.debug("container not inspected", metadata: ["container": "\(id.prefix(12))", "reason": "\(error)"])
            return nil
        }
    }

    // MARK: - Exits

    private func watchExit(of id: String) async {
        guard used.contains(.pidfd), let known = index[id] else { return }
        // The kernel told which process it is, and what runs it is known.
        if tokens[id] != nil, known.runsItsProcess != nil { return }
        guard let json = await inspect(id), let pid = EngineReading.pid(inspect: json), var record = index[id] else {
            return
        }
        record.runsItsProcess = EngineReading.runsItsProcess(inspect: json)
        index.put(record)
        watch(pid, of: id)
    }

    func watch(_ pid: Int32, of id: String) {
        guard used.contains(.pidfd), let record = index[id], record.holdsCapacity, tokens[id] == nil else { return }
        let memory = used.contains(.cgroup) ? memoryGroup(of: pid, id) : nil
        let outcome = exits.watch(pid: pid, containerID: id, memory: memory) { [weak self] notice in
            NodeLoop.assumeIsolated {
                switch notice {
                case .outOfMemory: self?.outOfMemory(id)
                case .exited(let time, let code):
                    let isItsOwn = self?.index[id]?.runsItsProcess ?? false
                    self?.ended(id, pid, at: time, code: isItsOwn ? code : nil)
                }
            }
        }
        if case .watching(let token) = outcome { tokens[id] = token }
    }

    private func memoryGroup(of pid: Int32, _ id: String) -> MemoryGroup? {
        let files = SystemFiles()
        guard let groups = files.text(of: "/proc/\(pid)/cgroup", limit: 16 << 10),
            let mounts = files.text(of: "/proc/mounts", limit: 1 << 20)
        else { return nil }
        return ContainerGroup.memory(of: id, processGroups: groups, mounts: mounts)
    }

    func outOfMemory(_ id: String) {
        guard var record = index[id], record.workload.state.holdsCapacity else { return }
        record.outOfMemory()
        guard record != index[id] else { return }
        keep(record)
        sources.note(.cgroup)
        tell(record)
    }

    /// The kernel says that the process is gone: its capacity is free now, and that it has ended is said at once. Where the
    /// kernel does not say how, there is no exit code until the engine's event brings it: an inspect takes twice as long as
    /// that, since an engine that tidies up does not answer.
    func ended(_ id: String, _ pid: Int32, at time: Double, code: Int32?) {
        tokens[id] = nil
        guard var record = index[id], !record.hasEnded else { return }
        record.ended(pid: pid, at: time, code: code)
        keep(record)
        sources.note(.pidfd)
        tell(record)
        if let code { exitCodes.put(Int64(code), of: id) }
    }

    func forgetExit(_ id: String) {
        if let token = tokens.removeValue(forKey: id) { exits.cancel(token) }
    }

    // MARK: - Keeping

    func keep(_ record: ContainerRecord) {
        index.put(record)
        noteCapacity()
        if record.isExclusive { exclusive?.note(record) }
    }

    /// What was stopped only until its lease stands again has not ended: nobody who waits for the end shall hear of one.
    func tell(_ record: ContainerRecord) {
        var workload = record.workload
        if record.isExclusive, workload.state == .exited, exclusive?.suspended.contains(record.id) ?? false {
            workload.state = .paused
            workload.exitCode = nil
            workload.finishedAt = 0
            workload.error = "stopped until the gateway confirms its lease"
        }
        report(workload)
    }

    /// How it is shown has changed, not how it is.
    func tellAgain(_ id: String) {
        if let record = index[id] { tell(record) }
    }

    func gone(_ id: String) {
        forgetExit(id)
        remembered.remove(id)
        guard let record = index.remove(id) else { return }
        exclusive?.noteGone(record)
        goneContainers.note(record, exitCode: exitCodes.known(id) ?? record.workload.exitCode.map(Int64.init))
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
