package import DockerAPI
package import Fleet

/// Reads what the engine says of a container: an inspect's JSON, or an event's attributes.
package enum EngineReading {
    /// A record from `GET /containers/ID/json`; nil when the container is no work of another node, or the JSON is none.
    package static func record(inspect json: JSON) -> ContainerRecord? {
        guard let id = json["Id"]?.stringValue, let name = json["Name"]?.stringValue,
            let labels = WorkloadLabels({ json["Config"]?["Labels"]?[$0]?.stringValue })
        else { return nil }
        var workload = workload(labels, containerID: id)
        apply(inspect: json, to: &workload)
        return record(id, trimmed(name), workload, labels)
    }

    /// A record from the attributes of a container's event, which carry its labels; nil when it is no such work.
    package static func record(id: String, attributes: [String: String]) -> ContainerRecord? {
        guard let labels = WorkloadLabels({ attributes[$0] }) else { return nil }
        return record(id, trimmed(attributes["name"] ?? ""), workload(labels, containerID: id), labels)
    }

    /// Labels alone are no proof: an image can bring any, and whoever runs it here would lend its container to the node that
    /// they name. The guard puts the origin behind each container's name, and an image has no say in that.
    private static func record(
        _ id: String, _ name: String, _ workload: Workload, _ labels: WorkloadLabels
    ) -> ContainerRecord? {
        var record = ContainerRecord(id: id, name: name, workload: workload, isLocal: false)
        guard record.userName != name else { return nil }
        record.isExclusive = labels.isExclusive
        if workload.name.isEmpty { record.workload.name = record.userName }
        return record
    }

    /// Brings a workload to the state that an inspect shows.
    package static func apply(inspect json: JSON, to workload: inout Workload) {
        let state = json["State"]
        if let known = self.state(state?["Status"]) { workload.state = known }
        workload.exitCode =
            workload.state == .exited ? state?["ExitCode"]?.intValue.map { Int32(truncatingIfNeeded: $0) } : nil
        workload.error = state?["Error"]?.stringValue ?? ""
        if state?["OOMKilled"]?.boolValue == true, workload.error.isEmpty { workload.error = outOfMemory }
        workload.createdAt = seconds(json["Created"]) ?? workload.createdAt
        workload.startedAt = seconds(state?["StartedAt"]) ?? 0
        workload.finishedAt = workload.state == .exited ? seconds(state?["FinishedAt"]) ?? 0 : 0
        let host = json["HostConfig"]
        workload.resources = Resources(
            cpus: Double(host?["NanoCpus"]?.intValue ?? 0) / 1e9, memory: ByteCount(host?["Memory"]?.intValue ?? 0))
    }

    /// What the engine calls a container's state, in an inspect as in a list; nil for words that are not known.
    package static func state(_ word: JSON?) -> WorkloadState? {
        switch word?.stringValue {
        case "created": .created
        case "running", "restarting": .running
        case "paused": .paused
        case "exited", "dead", "removing": .exited
        default: nil
        }
    }

    /// Whether the first process is the container's own, so that its end is the container's: a runtime with a virtual machine or
    /// a kernel of its own has something else there.
    package static func runsItsProcess(inspect json: JSON) -> Bool {
        let named = json["HostConfig"]?["Runtime"]?.stringValue ?? ""
        // Podman says `oci` there, and which one apart.
        return isOwnProcess(runtime: named == "oci" ? json["OCIRuntime"]?.stringValue ?? "" : named)
    }

    package static func isOwnProcess(runtime: String) -> Bool {
        let name = runtime.split(separator: "/").last ?? ""
        return ["runc", "crun", "io.containerd.runc.v1", "io.containerd.runc.v2", "nvidia"].contains(name)
    }

    /// When the state that an inspect shows began, in nanoseconds since 1970: events from before it are old news.
    package static func stateTime(_ workload: Workload) -> Int64 {
        Int64(max(workload.createdAt, workload.startedAt, workload.finishedAt) * 1e9)
    }

    /// The process in the host's numbers; nil when none runs.
    package static func pid(inspect json: JSON) -> Int32? {
        guard let pid = json["State"]?["Pid"]?.intValue, pid > 0 else { return nil }
        return Int32(exactly: pid)
    }

    /// What an event makes of a container; false when it changes nothing that is reported.
    /// - Parameter nanoseconds: the event's own time; an event that is not newer than the last one applied is passed over.
    package static func apply(
        action: String, attributes: [String: String], nanoseconds: Int64, to record: inout ContainerRecord
    ) -> Bool {
        let seconds = Double(nanoseconds) / 1e9
        // It may come after the end that it caused.
        let isOfThisRun = action == "oom" && seconds >= record.workload.startedAt
        if action == "start", record.awaitsEngine {
            record.awaitsEngine = false
            record.eventTime = max(record.eventTime, nanoseconds)
            return true
        }
        guard nanoseconds > record.eventTime || isOfThisRun else { return false }
        switch action {
        case "create":
            record.workload.state = .created
            record.workload.createdAt = seconds
        case "start":
            record.begin(at: seconds)
        case "pause": record.workload.state = .paused
        case "unpause": record.workload.state = .running
        case "oom": record.outOfMemory()
        case "die":
            record.workload.state = .exited
            record.workload.exitCode = attributes["exitCode"].flatMap { Int32($0) } ?? record.workload.exitCode
            // The kernel's time is nearer to the truth.
            if record.endedPid == nil { record.workload.finishedAt = seconds }
            record.endedPid = nil
            record.awaitsEngine = false
            record.hasEnded = true
        case "rename":
            record.name = trimmed(attributes["name"] ?? record.name)
            record.workload.name = record.userName
        case "destroy":
            record.workload.state = .removed
            record.hasEnded = true
        default: return false
        }
        record.eventTime = max(record.eventTime, nanoseconds)
        return true
    }

    package static let outOfMemory = "killed: out of memory"

    private static func workload(_ labels: WorkloadLabels, containerID: String) -> Workload {
        Workload(
            id: labels.id, tenant: labels.tenant, origin: labels.origin, target: labels.target, state: .created,
            version: Version(epoch: labels.epoch, sequence: 0),
            containerID: labels.container.isEmpty ? containerID : labels.container, name: labels.name,
            image: labels.image)
    }

    static func trimmed(_ name: String) -> String {
        name.utf8.first == UInt8(ascii: "/") ? String(name.dropFirst()) : name
    }

    /// Seconds since 1970 of `2026-01-02T03:04:05.678Z`; nil for Docker's zero time and for nonsense.
    static func seconds(_ json: JSON?) -> Double? {
        guard let text = json?.stringValue, text.utf8.count >= 20, !text.hasPrefix("0001-") else { return nil }
        let bytes = Array(text.utf8)
        func number(_ from: Int, _ count: Int) -> Int? {
            Int(String(decoding: bytes[from..<(from + count)], as: UTF8.self))
        }
        guard let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2)
        else { return nil }
        let fraction =
            bytes[19] == UInt8(ascii: ".")
            ? String(decoding: bytes[20...].prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self) : ""
        // Days since 1970 in the Gregorian calendar, with years that begin in March.
        let shifted = month <= 2 ? year - 1 : year
        let days =
            365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1
            - 719_468
        return Double(days * 86_400 + hour * 3600 + minute * 60 + second) + (Double("0.\(fraction)0") ?? 0)
    }
}
