import DockerAPI
import Engine
import Fleet
import Glibc
import Leases
import Logging
import NIOCore
import NIOPosix

/// Stopping, and starting again.
extension LeaseKeeper {
    /// How long what does not end is killed again.
    private nonisolated static let persistence = 30_000_000_000
    private static let tries = 4

    /// Everything of this origin stops, now.
    func stop(_ origin: NodeID, because reason: String) {
        stop(slots.values.filter { table[$0]?.origin == origin }, because: reason)
    }

    /// First the gates, so that no start comes behind the kill.
    func stop(_ stopped: [Int], because reason: String) {
        var entries: [LeaseTable.Entry] = []
        for slot in stopped {
            // Of two that act at once, one finds another word.
            while let entry = table[slot], !table.fence(entry) {}
            table.undone(slot)
            guard let entry = table[slot] else { continue }
            folder.shut(entry.workload, epoch: entry.epoch)
            entries.append(entry)
            if let id = entry.containerID, running.contains(id), let record = inventory.index[id] {
                stopping[id] = record.workload.startedAt
            }
        }
        let containers = Set(entries.compactMap(\.containerID))
        for id in containers where running.contains(id) {
            logger.warning(
                "stopping exclusive work", metadata: ["container": "\(id.prefix(12))", "reason": "\(reason)"])
        }
        let findings = configuration.kill(containers)
        for entry in entries { Self.finish(entry, findings, table) }
        let left = entries.compactMap { table[$0.slot] }.filter { $0.isFenced && !$0.isDone }
        if !left.isEmpty { insist(left) }
        // What runs and was not found may be in groups that are not shown here.
        let hidden = containers.filter { findings?[$0]?.ran == false && inventory.index[$0]?.holdsCapacity ?? false }
        guard !hidden.isEmpty else { return }
        let engine = table.engine
        NIOThreadPool.singleton.submit { _ in _ = EngineSocket.kill(hidden, at: engine, within: 2000) }
    }

    private nonisolated static func finish(
        _ entry: LeaseTable.Entry, _ findings: [String: ContainerGroups.Finding]?, _ table: LeaseTable
    ) {
        guard let id = entry.containerID else { return table.done(entry) }
        if findings?[id]?.outcome == .gone { table.done(entry) }
    }

    /// Kills again what is still there, and has the engine do it too.
    private func insist(_ entries: [LeaseTable.Entry]) {
        let (table, kill) = (table, configuration.kill)
        let deadline = now &+ UInt64(Self.persistence)
        let clock = configuration.clock
        NIOThreadPool.singleton.submit { [logger] _ in
            var isAsked = false
            while clock() < deadline {
                // What may run again meanwhile is not killed any more.
                let left = entries.compactMap { table[$0.slot] }.filter { entry in
                    entry.isFenced && !entry.isDone && entries.contains { $0.containerID == entry.containerID }
                }
                if left.isEmpty { return }
                let findings = kill(Set(left.compactMap(\.containerID)))
                for entry in left { Self.finish(entry, findings, table) }
                let remaining = left.filter { !(table[$0.slot]?.isDone ?? true) }
                if remaining.isEmpty { return }
                if !isAsked {
                    isAsked = true
                    let ids = Set(remaining.compactMap(\.containerID))
                    let stopped = EngineSocket.kill(ids, at: table.engine, within: 2000)
                    for entry in remaining where findings == nil && entry.containerID.map(stopped.contains) ?? false {
                        table.done(entry)
                    }
                } else {
                    Kernel.pause(nanoseconds: 5_000_000)
                }
            }
            for entry in entries where table[entry.slot].map({ $0.isFenced && !$0.isDone }) ?? false {
                logger.error(
                    "exclusive work cannot be stopped: end its processes, or restart the machine",
                    metadata: ["container": "\(entry.containerID?.prefix(12) ?? "none")"])
            }
        }
    }

    /// What cannot be watched must not run.
    func kill(_ containers: Set<String>, because reason: String) {
        for id in containers {
            logger.error("killing exclusive work", metadata: ["container": "\(id.prefix(12))", "reason": "\(reason)"])
        }
        if configuration.kill(containers) == nil {
            let engine = table.engine
            NIOThreadPool.singleton.submit { _ in _ = EngineSocket.kill(containers, at: engine, within: 2000) }
        }
    }

    // MARK: - Again

    /// The gateway has said what is still this node's.
    func resume(_ origin: NodeID) {
        let lease = book.lease(origin)
        for (key, slot) in slots {
            guard let entry = table[slot], entry.origin == origin, entry.isFenced, !over.contains(key) else {
                continue
            }
            let error = folder.open(key.workload, epoch: key.epoch)
            guard error == 0 else {
                logger.error(
                    "exclusive work cannot run again: its gate cannot be made",
                    metadata: ["folder": "\(folder.path)", "reason": "\(String(cString: strerror(error)))"])
                continue
            }
            table.reopen(slot, until: lease.validUntil)
            if let id = entry.containerID, suspended.contains(id) { start(id) }
        }
        folder.wake()
    }

    /// Starts a container that the lapse has stopped.
    func start(_ id: String) {
        guard resuming.insert(id).inserted else { return }
        // Unstructured: nobody waits for it. It ends with the engine's answers, after a few tries.
        Task { @NodeLoop in
            defer { resuming.remove(id) }
            for attempt in 0..<Self.tries {
                guard await ensureFence(), let record = inventory.index[id], suspended.contains(id),
                    stands(record.workload.origin)
                else { return }
                do throws(EngineError) {
                    let answer = try await inventory.client.request(
                        "POST", "/containers/\(id)/start", limit: 1 << 20, timeout: .seconds(60))
                    await inventory.refresh(id)
                    // An engine that has not seen the end yet says that it runs.
                    if !suspended.contains(id) {
                        return logger.notice(
                            "started exclusive work again: its lease stands",
                            metadata: ["container": "\(id.prefix(12))"])
                    }
                    logger.warning(
                        "exclusive work has not started again yet",
                        metadata: ["container": "\(id.prefix(12))", "status": "\(answer.status)"])
                } catch {
                    // Away: its next list brings it here again.
                    return
                }
                try? await Task.sleep(for: .milliseconds(250 << attempt))
            }
            guard let record = inventory.index[id], stands(record.workload.origin) else { return }
            noteStopped(record)
        }
    }

    // MARK: - Never again

    /// Removes what is over here. What the engine cannot be asked of now is told again by the gateway, and cannot start.
    func takeAway(_ workload: WorkloadID, epoch: UInt64, reason: String) {
        retired?(workload, epoch)
        for (key, slot) in slots where key.workload == workload && key.epoch <= epoch {
            over.insert(key)
            stop([slot], because: "the gateway takes it away: \(reason)")
        }
        let records = inventory.index.containers(of: workload).filter {
            !$0.isLocal && $0.workload.version.epoch <= epoch
        }
        for record in records {
            running.remove(record.id)
            logger.notice(
                "removing what is over here",
                metadata: ["container": "\(record.id.prefix(12))", "workload": "\(workload)", "reason": "\(reason)"])
            // Unstructured: the gateway's next message does not wait. Ends with the engine's answer.
            Task { @NodeLoop in
                await remove(record.id)
            }
        }
    }

    func remove(_ id: String) async {
        do throws(EngineError) {
            let answer = try await inventory.client.request(
                "DELETE", "/containers/\(id)?force=1&v=1", limit: 1 << 20, timeout: .seconds(60))
            if answer.status == 404 { return inventory.gone(id) }
            guard answer.status >= 300 else { return }
            logger.warning(
                "what is over here was not removed",
                metadata: ["container": "\(id.prefix(12))", "status": "\(answer.status)"])
        } catch {
            logger.warning(
                "what is over here was not removed", metadata: ["container": "\(id.prefix(12))", "reason": "\(error)"])
        }
        release(id)
    }

    // MARK: - The fence

    /// Whether a fence watches; starts one where there is none.
    func ensureFence() async -> Bool {
        if folder.fence != nil { return true }
        launched = launched.filter { waitpid($0, nil, WNOHANG) == 0 }
        let (folder, launcher) = (folder, configuration.launcher)
        let started = try? await NIOThreadPool.singleton.runIfActive { launcher.launch(folder) }
        guard let process = started ?? nil else {
            logger.error("the fence for exclusive work does not start", metadata: ["folder": "\(folder.path)"])
            return false
        }
        launched.insert(process)
        logger.info("a fence watches exclusive work", metadata: ["pid": "\(process)"])
        return true
    }

    /// Starts another when the one that was there has ended.
    func keepFence() {
        guard !slots.isEmpty, !isLaunching, folder.fence == nil else { return }
        isLaunching = true
        // Unstructured: a heartbeat does not wait for it. Ends with the fence's first word.
        Task { @NodeLoop in
            _ = await ensureFence()
            isLaunching = false
        }
    }
}
