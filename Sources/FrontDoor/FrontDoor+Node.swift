internal import DockerAPI
internal import Engine
internal import Fleet
internal import Session

/// What a front door tells of its own node.
extension FrontDoor {
    /// `GET /lighter/node`: `[{"Node", "Version", "IsConnected": BOOL, "ClockLead": SECONDS|null, "Engine": ADDRESS, "Sources": […]}]`:
    /// whether the session with the gateway stands, by how much the clock here was ahead of the gateway's when it began, the
    /// socket of its engine as `unix://PATH` or `none`, and who tells of containers' changes.
    func nodeState() async -> Job.Outcome {
        let lead: JSON = control.clockLead.map { .number("\($0)") } ?? .null
        let state: JSON = [
            "Node": .string(control.node.name), "Version": .string(configuration.version),
            "IsConnected": .bool(control.isConnected), "ClockLead": lead,
            "Engine": .string(configuration.enginePath.map { "unix://\($0)" } ?? "none"),
            "Sources": eventSources?() ?? .array([]),
        ]
        return await answering { DockerResponse(json: .array([state])) }
    }
}
