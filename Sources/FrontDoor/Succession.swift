internal import DockerAPI
internal import Engine
internal import Fleet
internal import NIOCore
internal import Session

/// How one client's stream of a container goes on when the container is begun anew at another node: as if it had been
/// restarted where it was.
///
/// Attached clients are there before the new container starts. Logs are read from its beginning, as nothing in them has been
/// told yet.
@NodeLoop
final class Succession: Sendable {
    enum Kind: String {
        case attach, logs, stats
        case attachWebSocket = "attach/ws"

        /// Whether it hears and is heard from the first word on.
        var isAttachment: Bool { self == .attach || self == .attachWebSocket }
    }

    /// How long a node has to be heard again, after a stream broke off, until the container counts as one that stays there.
    static let patience = Duration.seconds(2)

    nonisolated let kind: Kind
    let containerID: String
    /// What cuts its output where another's may follow; nil where that may be anywhere.
    nonisolated var cutter: (any OutputCutter)? {
        if kind == .attachWebSocket { return WholeMessages() }
        return kind != .stats && !hasTerminal ? WholeFrames() : nil
    }
    private nonisolated let hasTerminal: Bool
    private let door: FrontDoor
    private let head: RequestHead
    private let query: Query
    /// The epoch of the container that is heard; nil for one of the engine here, of which no other follows.
    private var epoch: UInt64?
    private var isStanding = true
    private var hasLeft = false
    /// Ends its answer, as long as that is under way.
    var ending: (@NodeLoop @Sendable () -> Void)?
    /// The container has started without it.
    var isLate = false

    init(_ kind: Kind, _ head: RequestHead, _ route: Route, _ query: Query, _ door: FrontDoor) {
        self.kind = kind
        self.head = head
        self.query = query
        self.door = door
        containerID = route.containerID
        epoch = route.epoch
        hasTerminal = route.hasTerminal
    }

    /// Its connection to the new container stands.
    func stands() { isStanding = true }
    /// Its client has gone.
    func leave() { hasLeft = true }
    /// The container is gone.
    func end() { ending?() }

    /// Whether it is at the container as it is now.
    var isCurrent: Bool { hasLeft || isStanding && epoch == door.routes[containerID]?.epoch }

    // MARK: What comes next

    private enum Step {
        case end, wait, ask(Route)
        case hear(Route?)
        /// It ends if its node is heard again.
        case lookOut(Route)
    }

    private func step(broke: Bool) -> Step {
        guard !hasLeft, let epoch else { return .end }
        let isMoving = door.moving.contains(containerID)
        guard let route = door.routes[containerID] else {
            guard door.aliases.engineID(of: containerID, at: door.control.node) != nil else { return .end }
            return kind.isAttachment || !isMoving ? .hear(nil) : .wait
        }
        if route.epoch != epoch { return kind.isAttachment || !isMoving ? .hear(route) : .wait }
        if isMoving { return .wait }
        // Only what has a lease is begun elsewhere without being asked to.
        guard route.loss.isExclusive else { return .end }
        return broke ? .lookOut(route) : .ask(route)
    }

    /// Whether nothing follows for certain.
    func isOver(broke: Bool) -> Bool {
        if case .end = step(broke: broke) { true } else { false }
    }

    /// Waits until it is known what follows; nil when nothing does.
    func next(broke: Bool) async -> Forward? {
        var broke = broke
        var heardSince: ContinuousClock.Instant?
        isStanding = false
        while !Task.isCancelled {
            switch step(broke: broke) {
            case .end: return nil
            case .hear(let route): return forward(to: route)
            case .wait: heardSince = nil
            case .ask(let route):
                if await hasEnded(route) { return nil }
                broke = true
                continue
            case .lookOut(let route):
                let isHeard = door.views[route.target]?.isHeard ?? false
                if !isHeard { heardSince = nil } else if heardSince == nil { heardSince = .now }
                if let heardSince, heardSince.duration(to: .now) > Self.patience { return nil }
            }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return nil }
        }
        return nil
    }

    /// Whether the container itself, or its user, has ended the stream: its node says so. One that waits for its lease has not.
    private func hasEnded(_ route: Route) async -> Bool {
        let client = DockerClient(dialer: door.dialer(to: route, purpose: "inspect"), maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/containers/\(containerID)/json") else { return false }
        guard answer.status == 200 else { return answer.status == 404 }
        return (try? JSON.parse(answer.body))?["State"]?["Status"]?.stringValue != "paused"
    }

    private func forward(to route: Route?) -> Forward? {
        epoch = route?.epoch
        var query = query
        switch kind {
        case .attach where isLate, .attachWebSocket where isLate: query.set("logs", "1")
        case .attach, .attachWebSocket: query.remove("logs")
        case .logs:
            query.remove("tail")
            query.remove("since")
        case .stats: break
        }
        let path = query.target("/containers/\(containerID)/\(kind.rawValue)")
        guard var forward = door.forwarding(head, to: route, path, purpose: kind.rawValue) else { return nil }
        // Its request was sent long ago.
        forward.body = ByteBuffer()
        forward.succession = self
        return forward
    }
}

extension FrontDoor {
    /// How a stream of a container elsewhere goes on; nil for what is none.
    func succession(_ head: RequestHead, _ route: Route, _ action: String, _ query: Query) -> Succession? {
        guard let kind = Succession.Kind(rawValue: action) else { return nil }
        switch kind {
        case .attach where head.method == "POST" && head.framing.isEmpty: break
        case .attachWebSocket where head.method == "GET": break
        case .logs where head.method == "GET" && query.flag("follow"): break
        case .stats where head.method == "GET": break
        default: return nil
        }
        let succession = Succession(kind, head, route, query, self)
        if kind.isAttachment { attached[route.containerID, default: .init()].add(succession) }
        if kind == .stats { measured[route.containerID, default: .init()].add(succession) }
        return succession
    }

    /// Waits until those who were attached to a container are so again, before it starts elsewhere.
    func letAttachedFollow(_ id: String) async {
        let end = ContinuousClock.now + .seconds(5)
        while true {
            let late = attached[id]?.all.filter { !$0.isCurrent } ?? []
            if late.isEmpty { break }
            guard ContinuousClock.now < end else {
                for succession in late { succession.isLate = true }
                return
            }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return }
        }
    }

    /// A container is elsewhere no more. Who follows its measures need not wait for its engine to say so.
    func forgetFollowers(_ id: String) {
        (attached[id], windows[id]) = (nil, nil)
        for succession in measured.removeValue(forKey: id)?.all ?? [] { succession.end() }
    }

    /// Gives the terminal of a container that was begun elsewhere the size of the one before.
    /// - Parameter client: of the engine that has it now.
    func resizeWindow(of id: String, _ client: DockerClient) async {
        guard let window = windows[id] else { return }
        // Its client tells the next change itself.
        _ = try? await client.request("POST", window.target("/containers/\(id)/resize"))
    }

    fileprivate func forwarding(_ head: RequestHead, to route: Route?, _ path: String, purpose: String) -> Forward? {
        if let route {
            var forward = forwarding(head, route, path, purpose: purpose)
            forward.ended = touching(route)
            if purpose == Succession.Kind.stats.rawValue {
                forward.rewrite = presentation.rewriting(presentation.stats)
            }
            return forward
        }
        guard let engine else { return nil }
        let version = head.apiVersion.map { "/v\($0)" } ?? ""
        return Forward(dialer: engine, head: ((try? head.withTarget(version + path)) ?? head).raw)
    }
}

/// Clients with a stream of one container.
struct Followers {
    private struct Follower {
        weak var succession: Succession?
    }

    private var followers: [Follower] = []

    var all: [Succession] { followers.compactMap(\.succession) }

    mutating func add(_ succession: Succession) {
        followers.removeAll { $0.succession == nil }
        followers.append(Follower(succession: succession))
    }
}

extension BodyFraming {
    fileprivate var isEmpty: Bool {
        switch self {
        case .none, .length(0): true
        default: false
        }
    }
}
