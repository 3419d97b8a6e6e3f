/// The filters of `GET /events`, as an engine applies them.
extension DockerFilters {
    /// Whether the filters by name of this kind (`network`, `volume`, `container`) admit an event: a value is the beginning of the
    /// id or of the name of what it happened to.
    package func admit(event: JSON, byName kind: String) -> Bool {
        guard contains(kind) else { return true }
        let actor = event["Actor"]
        let names = [actor?["ID"]?.stringValue, actor?["Attributes"]?["name"]?.stringValue].compactMap(\.self)
        return values(kind).contains { value in names.contains { $0.utf8.starts(with: value.utf8) } }
    }

    /// Whether they admit an event of a network or a volume; one of these has no image and no labels.
    package func admit(objectEvent event: JSON) -> Bool {
        let exact = ["type": "Type", "event": "Action", "scope": "scope"]
        return names.allSatisfy { name in
            if let field = exact[name] { return values(name).contains(event[field]?.stringValue ?? "") }
            return ["network", "volume", "container"].contains(name) && admit(event: event, byName: name)
        }
    }

    /// Whether events of networks and volumes may be among those that they admit.
    package var admitsObjectEvents: Bool {
        !contains("label") && !contains("image")
            && (!contains("type") || !Set(values("type")).isDisjoint(with: ["network", "volume"]))
    }
}
