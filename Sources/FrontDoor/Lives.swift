internal import DockerAPI
internal import Fleet
internal import Session

/// Containers that were begun more than once, by what their engines know them by: each life has another id there.
///
/// Of the most recent ones, and until a restart of this daemon.
struct Lives: Sendable {
    private var byWorkload = Recent<String>()
    private var byEngineID = Recent<String>()

    /// - Parameter container: the id that its users know.
    mutating func note(_ container: String, workload: WorkloadID, engineID: String? = nil) {
        byWorkload["\(workload)"] = container
        if let engineID, engineID != container { byEngineID[engineID] = container }
    }

    func container(of workload: WorkloadID) -> String? { byWorkload["\(workload)"] }
    func container(ofEngineID id: String) -> String? { byEngineID[id] }
}

/// What events of containers say to the device's users, to whom a container that was begun anew is still the same.
extension FrontDoor {
    /// An event of another node, with the id that users know; nil where it is of a life that they think is over, or went on.
    /// - Parameter isPast: whether it was before they asked, so that it is told with what came after it.
    func identified(_ event: JSON, at node: NodeID, isPast: Bool) -> JSON? {
        guard event["Type"]?.stringValue == "container", let actor = event["Actor"],
            let workload = actor["Attributes"]?["io.lighter.workload"]?.stringValue.flatMap({ try? WorkloadID($0) }),
            let epoch = actor["Attributes"]?["io.lighter.epoch"]?.stringValue.flatMap({ UInt64($0) }),
            let id = actor["Attributes"]?[Presentation.containerLabel]?.stringValue ?? routes.of(workload)?.containerID
                ?? lives.container(of: workload)
        else { return identifiedByID(event, at: node) }
        let isGone = event["Action"]?.stringValue == "destroy"
        guard let route = routes[id] else {
            let isHere = aliases.engineID(of: id, at: control.node) != nil
            if isHere, isGone || !isPast { return nil }
            return event.of(id)
        }
        let isComing = moving.contains(id) && (route.workload != workload || route.epoch < epoch)
        let isPresent = route.workload == workload && route.epoch == epoch && route.target == node
        // What is left of the present one goes when the next is there, before the move is over.
        let isTold = isComing || isPresent ? !isGone || !moving.contains(id) : isPast && !isGone
        guard isTold else { return nil }
        return event.of(id)
    }

    private func identifiedByID(_ event: JSON, at node: NodeID) -> JSON? {
        let attributes = event["Actor"]?["Attributes"]
        let id = attributes?["container"]?.stringValue ?? event["Actor"]?["ID"]?.stringValue ?? ""
        if let route = routes[id], route.target != node { return nil }
        return event
    }

    /// The same of this device's own engine.
    func identifiedHere(_ event: JSON, isPast: Bool) -> JSON? {
        guard event["Type"]?.stringValue ?? "container" == "container", let actor = event["Actor"],
            let engineID = actor["ID"]?.stringValue
        else { return event }
        let known = lives.container(ofEngineID: engineID)
        if known == nil, let name = actor["Attributes"]?["name"]?.stringValue, let route = routes.named(name),
            route.containerID != engineID, moving.contains(route.containerID)
        {
            // It is coming home, and has just been made.
            return event.of(route.containerID)
        }
        let id = known ?? engineID
        if routes[id] != nil, !isPast || event["Action"]?.stringValue == "destroy" { return nil }
        return event.of(id)
    }
}

extension JSON {
    /// An event as one of the container with this id.
    fileprivate func of(_ id: String) -> JSON {
        guard self["Actor"]?["ID"]?.stringValue != id else { return self }
        var event = self
        event.update(named: "Actor") { $0["ID"] = .string(id) }
        if event["id"] != nil { event["id"] = .string(id) }
        return event
    }
}
