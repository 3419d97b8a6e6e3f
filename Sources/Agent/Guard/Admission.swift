package import DockerAPI
package import Fleet

/// What a caller's request is let do: the table of routes, decided by request line and scope alone.
package enum Admission: Sendable, Hashable {
    /// About the node itself or its images; goes on as it is, with this query.
    case node(path: String, Query)
    /// A list, with the caller's own label filters in the query.
    case ownList(path: String, Query)
    /// The events, and the volumes, with the same; what comes is looked at again, as not every engine takes labels together.
    case ownEvents(Query)
    case ownVolumes(Query)
    case imageLoad(Query)
    /// One image that the caller may use, by its name or id.
    case imageInspect(ref: String, Query)
    /// What there is here of images; the guard answers it itself.
    case heldImages
    /// An image to be kept, or not any more; the guard answers it itself.
    case imagePin
    /// Which layers of an image are missing here; the guard answers it itself. `holds` for a caller that counts on the others.
    case missingLayers(holds: Bool)
    /// An image of the caller's own without the layers that it has; the guard makes the answer.
    case sparseImage
    /// Layers of the caller's own images that another node shall have; the guard makes the promise.
    case layerOffer
    /// Layers that another node has promised to this one, for the caller; the guard gets them.
    case layerFetch
    /// Layers that were promised to the caller; the guard makes the answer.
    case layerGift
    /// A container's writable layer that is put into place, or out of it; the guard does it itself.
    case layerPlace
    /// An image of the caller's own, by its id; actions `history` and `""` (DELETE).
    case ownImage(id: String, action: String, Query)
    case pull(Query)
    /// An image of a container of the ticket's workload; `ref` is as the caller wrote it.
    case commit(ref: String, Query)
    case build(Query)
    /// In which the caller gives BuildKit what a build of the ticket's workload asks it for.
    case session
    /// Which chunks of a build's context are missing here; the guard answers it itself.
    case missingChunks
    case create(name: String?, Query)
    /// One container of the ticket's workload; `ref` is as the caller wrote it.
    case container(ref: String, action: ContainerAction, Query)
    /// One exec of a container of the ticket's workload.
    case exec(id: String, action: String, Query)
    /// What the caller's own volumes take of this node's disk; the guard answers it itself.
    case volumeUsage
    /// A network or volume that becomes the caller's own.
    case objectCreate(OwnedObject)
    /// A network or volume of the caller's own, to look at or to remove.
    case object(OwnedObject, ref: String, Query)
    /// A network of the caller's own and the container of the ticket's workload; `action` is `connect` or `disconnect`.
    case attachment(network: String, action: String)

    /// What a caller may own beside containers: labelled as its own in the engine.
    package enum OwnedObject: String, Sendable, Hashable { case network, volume }

    /// What may be done with a container of one's own.
    package enum ContainerAction: String, Sendable, Hashable {
        case json, top, logs, changes, export, stats, resize, start, stop, restart, kill, update, rename, pause, unpause
        case attach, wait, archive, exec
        case attachWebSocket = "attach/ws"
        case remove = ""

        /// Whose body is JSON that has to be read before the engine sees it.
        var hasCheckedBody: Bool { self == .update || self == .exec }
        /// Whose body is passed on as it is. All others have none: old engines take a start's for a HostConfig.
        var hasStreamedBody: Bool { self == .archive }
        /// Whose answer turns the connection into a raw pipe.
        var hijacks: Bool { self == .attach || self == .attachWebSocket }
        /// Whose answer must be on its way before a later `start` is let through.
        var holdsStart: Bool { hijacks || self == .wait }
    }

    /// - Throws: `DockerFailure` with what is not admitted, and why.
    package static func decide(
        _ head: RequestHead, scope: CallScope, node: NodeID
    ) throws(DockerFailure) -> (apiVersion: String?, Admission) {
        try checkBodyKind(head)
        let (version, route, query) = DockerPath.parse(method: head.method, target: head.target)
        try checkVersion(version)
        return (version, try decide(head, route, query, scope: scope, node: node))
    }

    private static func decide(
        _ head: RequestHead, _ route: DockerRoute, _ query: Query, scope: CallScope, node: NodeID
    ) throws(DockerFailure) -> Admission {
        switch route {
        case .ping: return .node(path: "/_ping", query)
        case .version: return .node(path: "/version", query)
        case .info: return .node(path: "/info", query)
        case .containerList: return .ownList(path: "/containers/json", try own(query, scope))
        case .events: return .ownEvents(try own(query, scope))
        case .imageLoad: return .imageLoad(query)
        case .missingLayers: return .missingLayers(holds: query.flag("hold"))
        case .heldImages: return .heldImages
        case .imagePin: return .imagePin
        case .sparseImage: return .sparseImage
        case .layerOffer: return .layerOffer
        case .layerFetch: return .layerFetch
        case .layerGift: return .layerGift
        case .layerPlace:
            _ = try ticketed(query, scope, "layer")
            return .layerPlace
        case .imageCreate:
            guard query.first("fromSrc") == nil else {
                throw refusal(node, "POST /images/create?fromSrc", "images are pulled or shipped, not imported")
            }
            return .pull(query)
        case .image(let ref, "json") where isImageReference(ref): return .imageInspect(ref: ref, query)
        case .image(let id, let action) where ["history", ""].contains(action):
            return .ownImage(id: id, action: action, query)
        case .build: return .build(try ticketed(query, scope, "build"))
        case .session:
            _ = try ticketed(query, scope, "session")
            return .session
        case .missingChunks:
            _ = try ticketed(query, scope, "build")
            return .missingChunks
        case .commit:
            return .commit(ref: query.first("container") ?? "", try ticketed(query, scope, "commit"))
        case .containerCreate(let name): return .create(name: try checked(name), try ticketed(query, scope, "create"))
        case .container(let ref, let action):
            guard let action = ContainerAction(rawValue: action) else {
                throw refusal(node, "\(head.method) /containers/…/\(action)", "it is not offered to other nodes")
            }
            return .container(ref: ref, action: action, try ticketed(query, scope, action.rawValue))
        case .exec(let id, let action):
            return .exec(id: id, action: action, try ticketed(query, scope, "exec \(action)"))
        case .networkList: return .ownList(path: "/networks", try own(query, scope))
        case .volumeList: return .ownVolumes(try own(query, scope))
        case .diskUsage: return .volumeUsage
        case .networkCreate: return .objectCreate(.network)
        case .volumeCreate: return .objectCreate(.volume)
        case .network(let ref, "") where isReference(ref): return .object(.network, ref: ref, query)
        case .network(let ref, let action) where isReference(ref):
            _ = try ticketed(query, scope, "network \(action)")
            return .attachment(network: ref, action: action)
        case .volume(let name) where isReference(name) && head.method != "PUT":
            return .object(.volume, ref: name, query)
        default:
            throw refusal(
                node, "\(head.method) \(head.routePath.prefix(200))",
                "other nodes reach their own containers here, no more")
        }
    }

    /// Adds the caller's labels to its own filters; Docker wants all labels of a list to match.
    private static func own(_ query: Query, _ scope: CallScope) throws(DockerFailure) -> Query {
        var query = query
        var filters = try query.filters()
        for label in ownLabels(scope) { filters.add("label", label) }
        query.setFilters(filters)
        return query
    }

    /// What tells a caller's own from all else, as a filter wants it.
    static func ownLabels(_ scope: CallScope) -> [String] {
        ["\(WorkloadLabels.tenant)=\(scope.tenant)", "\(WorkloadLabels.origin)=\(scope.origin)"]
    }

    private static func ticketed(_ query: Query, _ scope: CallScope, _ what: String) throws(DockerFailure) -> Query {
        guard scope.ticket != nil else {
            throw DockerFailure(
                status: 403,
                message: "lighter: '\(what)' needs the ticket of a workload; ask the gateway to place it first")
        }
        return query
    }

    /// Go reads a form in the body over the query, and what was checked is the query.
    private static func checkBodyKind(_ head: RequestHead) throws(DockerFailure) {
        for type in head.headers.all("Content-Type") {
            let kind = type.lowercased()
            guard !kind.contains("form-urlencoded"), !kind.contains("form-data") else {
                throw DockerFailure(status: 400, message: "lighter: forms are no part of Docker's API; use the query")
            }
        }
        guard head.headers.all("Content-Type").count <= 1 else {
            throw DockerFailure(status: 400, message: "lighter: more than one Content-Type header")
        }
    }

    /// Before 1.24 a start could carry a HostConfig.
    private static func checkVersion(_ version: String?) throws(DockerFailure) {
        guard let version else { return }
        let parts = version.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].elementsEqual("1".utf8), parts[1].count == 2,
            let minor = Int(String(Substring(parts[1]))), minor >= 24
        else {
            throw DockerFailure(
                status: 400,
                message: "client version \(version.prefix(16)) is not offered. Minimum supported API version is 1.24")
        }
    }

    private static func checked(_ name: String?) throws(DockerFailure) -> String? {
        guard let name else { return nil }
        return try containerName(name)
    }

    /// Docker itself knows no bound; a path of a request has one.
    private static let longestName = 1024

    /// A container's name without the slash that the API allows before it.
    static func containerName(_ text: String) throws(DockerFailure) -> String {
        let name = text.utf8.first == UInt8(ascii: "/") ? String(text.dropFirst()) : text
        guard let first = name.utf8.first, isAlphanumeric(first), (2...longestName).contains(name.utf8.count),
            isReference(name)
        else {
            throw DockerFailure(
                status: 400,
                message: "Invalid container name (\(text.prefix(200))), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        }
        return name
    }

    /// Whether the text can be a container's id or name, and so needs no escapes in a path.
    static func isReference(_ text: String) -> Bool {
        !text.utf8.isEmpty && text.utf8.count <= longestName + 256
            && text.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    private static func isImageReference(_ text: String) -> Bool {
        !text.utf8.isEmpty && text.utf8.count <= 1024
            && text.utf8.allSatisfy { isAlphanumeric($0) || "_.-/:@".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }

    private static func refusal(_ node: NodeID, _ what: String, _ why: String) -> DockerFailure {
        DockerFailure(status: 403, message: "lighter: node \(node) does not admit \(what): \(why)")
    }
}
