internal import DockerAPI
internal import Glibc

/// A `GET /containers/json`, split into what each engine can answer and what only the front door can.
///
/// A node knows a container of this device under another name and by its image's digest, and cannot know the container
/// that `since` or `before` names when it runs elsewhere: those filters are applied here.
struct ListRequest: Sendable {
    static let anchorKeys = ["since", "before"]

    /// When the containers that `since` and `before` name were created, in seconds since 1970, and who has them.
    struct Anchors: Sendable {
        var times: [String: (seconds: Double, isLocal: Bool, id: String)] = [:]
    }

    private let query: Query
    private let filters: DockerFilters
    private let names: [NamePattern]
    let limit: Int?

    init(_ query: Query) throws(DockerFailure) {
        self.query = query
        filters = try query.filters()
        names = filters.values("name").map(NamePattern.init)
        limit = query.first("limit").flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil }
    }

    private var published: [String] { filters.values("publish") }
    var ancestors: [String] { filters.values("ancestor") }

    func anchor(_ key: String) -> String? { query.first(key) ?? filters.values(key).first }

    /// Whether a container may be shown whose node does not answer. What cannot be told of it does not hide it: a filter that
    /// finds nothing would say that it is gone.
    func admits(unreachable route: Route, lastState: String?) -> Bool {
        let ids = filters.values("id")
        guard ids.isEmpty || ids.contains(where: route.containerID.hasPrefix) else { return false }
        for wanted in filters.values("label") {
            let parts = wanted.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let value = route.labels[parts[0]], parts.count == 1 || value == parts[1] else { return false }
        }
        if !ancestors.isEmpty {
            let reference = ImageReference(route.image)?.resolved
            let digest = String(route.imageID.dropFirst("sha256:".count))
            let isOf = { (wanted: String) in
                ImageReference(wanted)?.resolved == reference && reference != nil
                    || !digest.isEmpty && (digest.hasPrefix(wanted) || route.imageID.hasPrefix(wanted))
            }
            guard ancestors.contains(where: isOf) else { return false }
        }
        guard let lastState else { return true }
        let states = filters.values("status")
        if !states.isEmpty { return states.contains(lastState) }
        return query.flag("all") || limit != nil || ["running", "paused", "restarting"].contains(lastState)
    }

    /// Whether all that is asked for can be told from entries of a full list.
    var isAnsweredHere: Bool {
        let known: Set = [
            "id", "name", "label", "status", "exited", "network", "volume", "publish", "before", "since",
        ]
        return !query.flag("size") && known.isSuperset(of: filters.names)
    }

    /// The filters that an engine applies to its own list, for entries of one that was asked without them.
    func selects(_ container: JSON) -> Bool {
        guard isAnsweredHere else { return true }
        let state = container["State"]?.stringValue ?? ""
        let states = filters.values("status")
        if states.isEmpty {
            guard query.flag("all") || limit != nil || ["running", "paused", "restarting"].contains(state) else {
                return false
            }
        } else if !states.contains(state) {
            return false
        }
        let codes = filters.values("exited")
        if !codes.isEmpty {
            let status = container["Status"]?.stringValue ?? ""
            guard codes.contains(where: { status.hasPrefix("Exited (\($0))") }) else { return false }
        }
        let id = container["Id"]?.stringValue ?? ""
        let ids = filters.values("id")
        guard ids.isEmpty || ids.contains(where: { NamePattern($0).matches(id) }) else { return false }
        guard filters.admit(labels: container["Labels"]) else { return false }
        return isIn(container, filters.values("network")) && mounts(container, filters.values("volume"))
    }

    private func isIn(_ container: JSON, _ wanted: [String]) -> Bool {
        guard !wanted.isEmpty else { return true }
        let networks = container["NetworkSettings"]?["Networks"]?.objectValue?.members ?? []
        return networks.contains {
            wanted.contains($0.key) || wanted.contains($0.value["NetworkID"]?.stringValue ?? "")
        }
    }

    private func mounts(_ container: JSON, _ wanted: [String]) -> Bool {
        guard !wanted.isEmpty else { return true }
        return (container["Mounts"]?.arrayValue ?? []).contains { mount in
            ["Name", "Destination", "Source"].contains { wanted.contains(mount[$0]?.stringValue ?? "") }
        }
    }

    func query(forLocal anchors: Anchors) -> Query {
        var query = query
        var filters = filters
        for key in Self.anchorKeys where anchors.times[key]?.isLocal == false {
            filters.remove(key)
            query.remove(key)
        }
        query.setFilters(filters)
        return query
    }

    /// - Parameter named: what a network or volume (`network`, `volume`) of this device is called at the node, beside its own name.
    func query(
        forRemote anchors: Anchors, ancestors: [String], named: (_ kind: String, _ name: String) -> [String]
    ) -> Query {
        var query = query
        var filters = filters
        filters.remove("name")
        filters.remove("publish")
        if filters.contains("ancestor") {
            filters.remove("ancestor")
            for id in ancestors { filters.add("ancestor", id) }
        }
        // Paths of this device mean other paths there: entries are chosen by `selects` when they are shown as they are here.
        if isAnsweredHere, filters.values("volume").contains(where: { $0.hasPrefix("/") }) { filters.remove("volume") }
        // A guard sets this label to its own.
        if isAnsweredHere {
            filters.removeLabels(
                filters.values("label").filter { $0.utf8.starts(with: CreateRequest.updateLabel.utf8) })
        }
        for kind in ["network", "volume"] {
            for value in filters.values(kind) {
                for name in named(kind, value) { filters.add(kind, name) }
            }
        }
        for key in Self.anchorKeys {
            filters.remove(key)
            query.remove(key)
        }
        // The newest of all cannot be told from the newest of those that pass a filter applied here.
        if query.first("limit") != nil, !names.isEmpty || !anchors.times.isEmpty || !published.isEmpty {
            query.remove("limit")
            query.set("all", "1")
        }
        query.setFilters(filters)
        return query
    }

    /// The filters that were taken out of an engine's query.
    ///
    /// - Parameter createdAt: Seconds since 1970 where they are known more exactly than the list shows them.
    func admits(_ container: JSON, by anchors: Anchors, isLocal: Bool, createdAt: Double? = nil) -> Bool {
        if !isLocal, !names.isEmpty {
            let shown = container["Names"]?.arrayValue?.compactMap(\.stringValue) ?? []
            guard names.contains(where: { pattern in shown.contains(where: pattern.matches) }) else { return false }
        }
        if !isLocal, !published.isEmpty {
            guard published.contains(where: { Presentation.publishes(container, $0) }) else { return false }
        }
        let created = Double(container["Created"]?.intValue ?? 0)
        for (key, anchor) in anchors.times where anchor.isLocal != isLocal || !isLocal {
            guard container["Id"]?.stringValue != anchor.id else { return false }
            if let createdAt {
                guard key == "since" ? createdAt > anchor.seconds : createdAt < anchor.seconds else { return false }
                continue
            }
            if key == "since", created < anchor.seconds.rounded(.down) { return false }
            if key == "before", created > anchor.seconds.rounded(.up) { return false }
        }
        return true
    }

    static func path(_ head: RequestHead, _ query: Query) -> String {
        query.target(head.apiVersion.map { "/v\($0)/containers/json" } ?? "/containers/json")
    }
}

/// Docker's `name` filter: a regular expression that may match with or without the leading slash.
struct NamePattern: Sendable {
    let pattern: String

    init(_ pattern: String) { self.pattern = pattern }

    func matches(_ name: String) -> Bool {
        let bare = name.hasPrefix("/") ? String(name.dropFirst()) : name
        var compiled = regex_t()
        guard regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0 else { return bare.contains(pattern) }
        defer { regfree(&compiled) }
        return regexec(&compiled, bare, 0, nil, 0) == 0 || regexec(&compiled, "/\(bare)", 0, nil, 0) == 0
    }
}
