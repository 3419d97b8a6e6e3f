internal import DockerAPI
internal import Fleet

/// What an engine will say of a container that ran, once it knows that it has ended.
struct EndedContainer {
    /// `GET /containers/ID/json`.
    let inspected: JSON

    /// Nil for one that does not run, has been started since, whose engine starts it again, or whose end may be the kernel's: only
    /// its engine knows whether it was killed for want of memory.
    init?(_ inspected: [UInt8], _ end: WorkloadEnd) {
        guard var container = try? JSON.parse(inspected), var state = container["State"],
            state["Status"] == "running", state["Health"]?.isNull ?? true, end.exitCode != 137,
            (state["StartedAt"]?.stringValue.flatMap(Timestamp.seconds) ?? 0) <= end.finishedAt,
            ["", "no", nil].contains(container["HostConfig"]?["RestartPolicy"]?["Name"]?.stringValue)
        else { return nil }
        state["Status"] = "exited"
        for key in ["Running", "Paused", "Restarting"] where state[key] != nil { state[key] = false }
        state["Pid"] = 0
        state["ExitCode"] = .int(Int64(end.exitCode))
        state["FinishedAt"] = .string(Timestamp.text(end.finishedAt))
        container["State"] = state
        container.update(named: "NetworkSettings", Self.leave)
        self.inspected = container
    }

    /// The same of its element of `GET /containers/json`, in bytes.
    func list(_ listed: [UInt8]) -> [UInt8] {
        guard var container = try? JSON.parse(listed) else { return listed }
        container["State"] = "exited"
        container["Ports"] = []
        container.update(named: "NetworkSettings", Self.leave)
        return Array(container.text.utf8)
    }

    /// One that has ended has no addresses.
    private static func leave(_ settings: inout JSON) {
        release(&settings)
        if settings["Ports"] != nil { settings["Ports"] = [:] }
        for name in settings["Networks"]?.objectValue?.keys ?? [] {
            settings.update(named: "Networks") { $0.update(named: name, release) }
        }
    }

    private static func release(_ place: inout JSON) {
        for (key, none) in [
            ("EndpointID", ""), ("Gateway", ""), ("IPAddress", ""), ("MacAddress", ""), ("IPv6Gateway", ""),
            ("GlobalIPv6Address", ""), ("IPPrefixLen", 0), ("GlobalIPv6PrefixLen", 0),
        ] as [(String, JSON)] where place[key] != nil { place[key] = none }
    }
}
