/// What an engine calls what happened: Docker's words, and Podman's where it has others.
///
/// A container that ends is `die` to Docker; Podman says so too, but filters by `died` only. One that goes is `destroy` to
/// Docker and `remove` to Podman.
package enum EventAction {
    private static let others = ["die": "died", "destroy": "remove", "delete": "remove"]

    /// The action as Docker says it.
    /// - Parameter type: of what it happened to: `container`, `image`…
    package static func canonical(_ action: String, of type: String) -> String {
        switch action {
        case "died": "die"
        case "remove": type == "image" ? "delete" : "destroy"
        default: action
        }
    }

    /// An event in Docker's words; nil where it is in them already.
    package static func canonical(_ event: JSON) -> JSON? {
        guard let action = event["Action"]?.stringValue else { return nil }
        let canonical = canonical(action, of: event["Type"]?.stringValue ?? "container")
        guard canonical != action else { return nil }
        var event = event
        event["Action"] = .string(canonical)
        if event["status"] != nil { event["status"] = .string(canonical) }
        return event
    }

    fileprivate static func spellings(_ action: String) -> [String] { [action] + (others[action].map { [$0] } ?? []) }
}

extension DockerFilters {
    /// Filters for events that mean the same to every engine; what an engine does not know matches nothing.
    package var forEveryEngine: DockerFilters {
        var filters = self
        for action in values("event").flatMap(EventAction.spellings) { filters.add("event", action) }
        return filters
    }
}
