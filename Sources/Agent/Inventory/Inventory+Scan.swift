import DockerAPI
import Engine
import Fleet
import Logging

/// The net under the events: the engine's whole list against what is known.
extension Inventory {
    /// Scans each `interval` until cancelled.
    package func keepScanning(every interval: Duration) async {
        while !Task.isCancelled {
            do { try await ContinuousClock().sleep(for: interval) } catch { return }
            await scan()
        }
    }

    /// One look at the engine's list: what it has otherwise than is known here is inspected, taken over and logged.
    ///
    /// What changes while the engine is asked is passed over: its events are on their way.
    package func scan() async {
        guard isEngineUp else { return }
        let before = index.records
        let list: [JSON]
        do throws(EngineError) {
            let answer = try await client.request("GET", "/containers/json?all=1", timeout: .seconds(60)).checked()
            guard case .array(let containers) = try answer.json() else {
                throw EngineError(.malformed, "the engine's list of containers is not a list")
            }
            list = containers
        } catch {
            return logger.warning("the engine's containers could not be scanned", metadata: ["reason": "\(error)"])
        }
        guard isEngineUp else { return }
        var listed: Set<String> = []
        for container in list {
            guard let id = container["Id"]?.stringValue else { continue }
            listed.insert(id)
            await compare(container, id, with: before[id])
        }
        for (id, known) in before where !listed.contains(id) && index[id] == known {
            noteDifference(id, known: known.workload.state.rawValue, found: "gone")
            gone(id)
        }
    }

    private func compare(_ container: JSON, _ id: String, with known: ContainerRecord?) async {
        guard index[id] == known else { return }
        guard let known else {
            guard container["Labels"]?[WorkloadLabels.workload] != nil else { return }
            await refresh(id)
            if let found = index[id] {
                noteDifference(id, known: "nothing", found: found.workload.state.rawValue)
            }
            return
        }
        let isRunning = known.workload.state == .running || known.workload.state == .paused
        guard differs(container, from: known) || (isRunning && tokens[id] == nil) else { return }
        await refresh(id)
        guard let found = index[id], found.workload != known.workload else { return }
        noteDifference(id, known: known.workload.shown, found: found.workload.shown)
    }

    private func differs(_ container: JSON, from known: ContainerRecord) -> Bool {
        if let state = EngineReading.state(container["State"]), state != known.workload.state { return true }
        if known.workload.state == .exited, known.workload.exitCode == nil { return true }
        let names = container["Names"]?.arrayValue?.compactMap { $0.stringValue.map(EngineReading.trimmed) } ?? []
        return !names.isEmpty && !known.name.isEmpty && !names.contains(known.name)
    }

    private func noteDifference(_ id: String, known: String, found: String) {
        logger.warning(
            "a scan found what no event had told",
            metadata: ["container": "\(id.prefix(12))", "known": "\(known)", "found": "\(found)"])
    }
}

extension Workload {
    /// State and name, for a line of the log.
    fileprivate var shown: String { "\(state.rawValue)\(exitCode.map { " (\($0))" } ?? "") \(name)" }
}
