internal import DockerAPI
internal import Glibc

/// The filters of `POST /containers/prune`, for containers that this device's engine does not have.
struct PruneRequest: Sendable {
    private let filters: DockerFilters
    /// Seconds since 1970: only containers created before go.
    private let until: Double?

    /// - Throws: `DockerFailure` 400 as an engine would say it.
    /// - Parameter more: filters that its caller heeds itself.
    init(_ query: Query, now: Double, beside more: Set<String> = []) throws(DockerFailure) {
        filters = try query.filters()
        for name in filters.names where !more.union(["label", "label!", "until"]).contains(name) {
            throw DockerFailure(status: 400, message: "invalid filter '\(name)'")
        }
        let moments = filters.values("until")
        guard moments.count <= 1 else {
            throw DockerFailure(status: 400, message: "more than one until filter specified")
        }
        guard let text = moments.first else {
            until = nil
            return
        }
        guard let moment = Timestamp.asked(text, now: now) else {
            throw DockerFailure(status: 400, message: "failed to parse value as time or duration: \"\(text)\"")
        }
        until = moment
    }

    /// What may go at a node, with the size of each.
    var listTarget: String {
        var query = Query()
        query.set("all", "1")
        query.set("size", "1")
        var wanted = DockerFilters()
        for status in ["created", "exited", "dead"] { wanted.add("status", status) }
        for label in filters.values("label") { wanted.add("label", label) }
        query.setFilters(wanted)
        return query.target("/containers/json")
    }

    /// The filters that a list does not know.
    func admits(_ container: JSON) -> Bool {
        if let until, Double(container["Created"]?.intValue ?? 0) >= until { return false }
        return filters.admit(labels: container["Labels"])
    }

    /// The same for a network, of which only some filters were asked for.
    func admits(labelled network: JSON) -> Bool {
        if let until, Timestamp.seconds(network["Created"]?.stringValue ?? "") ?? 0 >= until { return false }
        return filters.admit(labels: network["Labels"])
    }
}
