/// The one place that knows the Docker API's paths (1.24 to 1.50).
package enum DockerPath {
    /// Which route an engine would take for a request.
    ///
    /// As the engine's router does, the whole path is percent-decoded before it is taken apart (`%2F` is a `/`). A path that
    /// the engine would redirect or refuse (`//`, `..`, bad escapes, NUL) is `.other`.
    package static func parse(
        method: String, target: String
    ) -> (apiVersion: String?, route: DockerRoute, query: Query) {
        let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
        let query = mark.map { Query(String(target[target.utf8.index(after: $0)...])) } ?? Query()
        let raw = String(target[..<(mark ?? target.endIndex)])
        guard let decoded = PercentCoding.decode(raw.utf8, plusIsSpace: false), !decoded.contains(0) else {
            return (nil, .other, query)
        }
        let (version, path) = split(path: String(decoding: decoded, as: UTF8.self))
        let segments = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
            .map { String(Substring($0)) }
        guard path.utf8.first == UInt8(ascii: "/"), segments.allSatisfy({ !["", ".", ".."].contains($0) }) else {
            return (version, .other, query)
        }
        return (version, route(method, segments, query), query)
    }

    /// Takes `/v1.41` off the front of a path.
    static func split(path: String) -> (apiVersion: String?, rest: String) {
        guard path.utf8.starts(with: "/v".utf8) else { return (nil, path) }
        let after = path.utf8.dropFirst(2)
        guard let slash = after.firstIndex(of: UInt8(ascii: "/")), slash > after.startIndex else { return (nil, path) }
        let version = after[..<slash]
        guard version.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }) else { return (nil, path) }
        return (String(Substring(version)), String(path[slash...]))
    }

    private static func route(_ method: String, _ segments: [String], _ query: Query) -> DockerRoute {
        guard let family = segments.first else { return .other }
        let rest = segments.dropFirst()
        return switch family {
        case "containers": container(method, rest, query)
        case "images": image(method, rest)
        case "exec": exec(method, rest)
        case "volumes": volume(method, rest)
        case "networks": network(method, rest)
        case "build": build(method, rest)
        case "distribution" where method == "GET" && rest.count >= 2 && rest.last == "json":
            .distribution(ref: rest.dropLast().joined(separator: "/"))
        case "plugins": .plugins
        case "swarm", "nodes", "services", "tasks", "secrets", "configs": .swarm
        default: single(method, segments)
        }
    }

    private static func single(_ method: String, _ segments: [String]) -> DockerRoute {
        switch (method, segments.joined(separator: "/")) {
        case ("GET", "_ping"), ("HEAD", "_ping"): .ping
        case ("GET", "version"): .version
        case ("GET", "info"): .info
        case ("GET", "events"): .events
        case ("GET", "system/df"): .diskUsage
        case ("POST", "auth"): .auth
        case ("POST", "commit"): .commit
        case ("POST", "session"): .session
        case ("POST", "grpc"): .grpc
        case ("GET", "lighter/images"): .imageHoldings
        case ("GET", "lighter/mounts"): .mountStates
        case ("GET", "lighter/node"): .nodeState
        case ("POST", "lighter/layers"): .missingLayers
        case ("POST", "lighter/held"): .heldImages
        case ("POST", "lighter/pin"): .imagePin
        case ("POST", "lighter/move"): .containerMove
        case ("POST", "lighter/image"): .sparseImage
        case ("POST", "lighter/offer"): .layerOffer
        case ("POST", "lighter/fetch"): .layerFetch
        case ("POST", "lighter/give"): .layerGift
        case ("POST", "lighter/layer"): .layerPlace
        case ("POST", "lighter/chunks"): .missingChunks
        default: .other
        }
    }

    private static let containerActions: [String: Set<String>] = [
        "GET": ["json", "top", "logs", "changes", "export", "stats", "attach/ws", "archive", "checkpoints"],
        "HEAD": ["archive"],
        "PUT": ["archive"],
        "POST": [
            "resize", "start", "stop", "restart", "kill", "update", "rename", "pause", "unpause", "attach", "wait",
            "exec", "checkpoints",
        ],
    ]

    private static func container(_ method: String, _ rest: ArraySlice<String>, _ query: Query) -> DockerRoute {
        if rest.count == 1 {
            switch (method, rest.first ?? "") {
            case ("GET", "json"): return .containerList
            case ("POST", "create"):
                return .containerCreate(name: query.first("name").flatMap { $0.isEmpty ? nil : $0 })
            case ("POST", "prune"): return .containerPrune
            default: break
            }
        }
        // A DELETE names no action, but for what a container has of its own.
        if method == "DELETE", rest.count == 3, rest[rest.startIndex + 1] == "checkpoints" {
            return .container(ref: rest[rest.startIndex], action: "checkpoints")
        }
        return named(method, rest, containerActions).map { .container(ref: $0, action: $1) } ?? .other
    }

    private static let imageActions: [String: Set<String>] = [
        "GET": ["json", "history", "get"], "POST": ["push", "tag"],
    ]

    private static func image(_ method: String, _ rest: ArraySlice<String>) -> DockerRoute {
        if rest.count == 1 {
            switch (method, rest.first ?? "") {
            case ("GET", "json"): return .imageList
            case ("GET", "get"): return .imageSave
            case ("GET", "search"): return .imageSearch
            case ("POST", "create"): return .imageCreate
            case ("POST", "load"): return .imageLoad
            case ("POST", "prune"): return .imagePrune
            default: break
            }
        }
        return named(method, rest, imageActions).map { .image(ref: $0, action: $1) } ?? .other
    }

    /// `NAME/ACTION`, where the name may hold slashes; a DELETE names no action.
    private static func named(
        _ method: String, _ rest: ArraySlice<String>, _ actions: [String: Set<String>]
    ) -> (String, String)? {
        if method == "DELETE" { return rest.isEmpty ? nil : (rest.joined(separator: "/"), "") }
        guard let known = actions[method] else { return nil }
        for length in [2, 1] where rest.count > length {
            let action = rest.suffix(length).joined(separator: "/")
            if known.contains(action) { return (rest.dropLast(length).joined(separator: "/"), action) }
        }
        return nil
    }

    private static func exec(_ method: String, _ rest: ArraySlice<String>) -> DockerRoute {
        named(method, rest, ["GET": ["json"], "POST": ["start", "resize"]])
            .flatMap { $1.isEmpty ? nil : .exec(id: $0, action: $1) } ?? .other
    }

    private static func volume(_ method: String, _ rest: ArraySlice<String>) -> DockerRoute {
        switch (method, rest.count, rest.first ?? "") {
        case ("GET", 0, _): .volumeList
        case ("POST", 1, "create"): .volumeCreate
        case ("POST", 1, "prune"): .volumePrune
        case ("GET", 1..., _), ("PUT", 1..., _), ("DELETE", 1..., _): .volume(name: rest.joined(separator: "/"))
        default: .other
        }
    }

    private static func network(_ method: String, _ rest: ArraySlice<String>) -> DockerRoute {
        switch (method, rest.count, rest.first ?? "") {
        case ("GET", 0, _): .networkList
        case ("POST", 1, "create"): .networkCreate
        case ("POST", 1, "prune"): .networkPrune
        case ("GET", 1..., _), ("DELETE", 1..., _): .network(ref: rest.joined(separator: "/"), action: "")
        case ("POST", 2..., _):
            named(method, rest, ["POST": ["connect", "disconnect"]]).map { .network(ref: $0, action: $1) } ?? .other
        default: .other
        }
    }

    private static func build(_ method: String, _ rest: ArraySlice<String>) -> DockerRoute {
        switch (method, rest.joined(separator: "/")) {
        case ("POST", ""): .build
        case ("POST", "prune"): .buildPrune
        case ("POST", "cancel"): .buildCancel
        default: .other
        }
    }
}
