internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// `GET /events`, merged over this device's engine and the nodes that run its containers.
extension FrontDoor {
    func events(_ head: RequestHead, _ query: Query, _ client: ClientWriter) async -> Job.Outcome {
        let filters: DockerFilters
        do {
            filters = try query.filters()
        } catch {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        }
        let merge = EventMerge(door: self, head: head, query: query, filters: filters, client: client, since: now())
        var local: EventMerge.Local?
        if let engineClient = engineEvents {
            var asked = query
            var asks = filters.forEveryEngine
            // Of containers that were begun anew an engine knows other ids.
            asks.remove("container")
            asked.setFilters(asks)
            let target = asked.target(head.apiVersion.map { "/v\($0)/events" } ?? "/events")
            do {
                // Podman answers with its first event only, and other nodes' do not wait for that.
                if greeting.answersEventsLate, !merge.isHistory {
                    client.begin(greeting.chunked())
                    await merge.run { try? await engineClient.stream("GET", target) }
                    client.end()
                    return .streamed
                }
                let stream = try await engineClient.stream("GET", target)
                guard stream.status == 200 else {
                    return .answer(Answer(try await stream.collect().bytes))
                }
                local = { stream }
            } catch {
                // What happens elsewhere is told all the same; what happens here, from when the engine is back.
                logger.debug("events without the engine here", metadata: ["error": "\(error)"])
                if !merge.isHistory { local = { await Self.retried { try await engineClient.stream("GET", target) } } }
            }
        }
        client.begin(greeting.chunked())
        await merge.run(local)
        client.end()
        return .streamed
    }

    /// The stream of an engine that is away, once it is back; nil when that is no longer wanted.
    private static func retried(
        _ open: @Sendable @NodeLoop () async throws -> DockerStream
    ) async -> DockerStream? {
        while true {
            do { try await Task.sleep(for: .seconds(1)) } catch { return nil }
            if let stream = try? await open() { return stream }
        }
    }

    /// Nodes to which a link stands: they can tell of containers that are gone.
    var nodesInReach: Set<NodeID> {
        Set(control.snapshot.nodes.map(\.id).filter { control.existingLink(to: $0) != nil })
    }

    /// Calls `watcher` with every node that becomes the target of a first route; returns what ends that.
    func watchTargets(_ watcher: @escaping @Sendable @NodeLoop (NodeID) -> Void) -> Int {
        nextWatcher += 1
        targetWatchers[nextWatcher] = watcher
        return nextWatcher
    }
}

/// One client's merged events.
@NodeLoop
private final class EventMerge {
    private let door: FrontDoor
    private let head: RequestHead
    private let query: Query
    private let filters: DockerFilters
    private let client: ClientWriter
    /// When the client asked, in seconds since 1970.
    private let since: Double

    init(
        door: FrontDoor, head: RequestHead, query: Query, filters: DockerFilters, client: ClientWriter, since: Double
    ) {
        self.door = door
        self.head = head
        self.query = query
        self.filters = filters
        self.client = client
        self.since = since
    }

    /// A finite question (`until` in the past) is answered in order; otherwise events are passed on as they come.
    var isHistory: Bool {
        guard let until = query.first("until").flatMap(Double.init) else { return false }
        return until <= since
    }

    /// The events of the engine here, once they come; nil where there is none.
    typealias Local = @Sendable @NodeLoop () async -> DockerStream?

    func run(_ local: Local?) async {
        let (targets, found) = AsyncStream<NodeID>.makeStream()
        let watcher = door.watchTargets { found.yield($0) }
        let (own, endOwn) = door.eventLog.follow()
        let past = query.first("since") == nil ? [] : ownPast
        defer {
            door.targetWatchers[watcher] = nil
            endOwn()
        }
        let known = door.routes.targets.union(isHistory || query.first("since") != nil ? door.nodesInReach : [])
        if isHistory { return await history(local, known) }
        let gone = client.gone
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in gone {} }
            group.addTask {
                await withTaskGroup(of: Void.self) { sources in
                    sources.addTask { await self.passOwn(own, after: past) }
                    await self.passAll(local, known, targets)
                    sources.cancelAll()
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func passAll(_ local: Local?, _ known: Set<NodeID>, _ new: AsyncStream<NodeID>) async {
        let start = query.first("since")
        await withTaskGroup(of: Void.self) { sources in
            for node in known { sources.addTask { await self.follow(node, from: start) } }
            sources.addTask { await self.followNew(new, known) }
            if local != nil || hasEnd { await passToEnd(local) } else { await sources.waitForAll() }
            sources.cancelAll()
        }
    }

    private var hasEnd: Bool { query.first("until") != nil }

    /// The engine here says when it is over: at `until`, or when it goes down. While it is away, the clock does.
    private func passToEnd(_ local: Local?) async {
        let end = query.first("until").flatMap { Timestamp.asked($0, now: since) }
        await withTaskGroup(of: Void.self) { group in
            if let local { group.addTask { await self.passLocal(local) } }
            if let end {
                // Nodes' clocks differ, and what they say is under way for a while.
                let left = max(0, end - door.now()) + 1
                group.addTask { try? await Task.sleep(for: .seconds(left)) }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func passLocal(_ local: Local) async {
        guard let stream = await local(), stream.status == 200 else { return }
        do {
            // In whole lines: other nodes' events come in between.
            for try await line in Lines(stream.body) {
                guard let event = try? JSON.parse(line), let shown = shownHere(event) else { continue }
                try await client.write(ByteBuffer(string: shown.text + "\n"))
            }
        } catch {
            return
        }
    }

    /// An event of the engine here; nil where it is none to the device's users, or they did not ask for it.
    private func shownHere(_ event: JSON) -> JSON? {
        guard !door.eventLog.hides(event) else { return nil }
        let event = EventAction.canonical(event) ?? event
        guard let shown = door.identifiedHere(event, isPast: isPast(event)),
            filters.admit(event: shown, byName: "container")
        else { return nil }
        return shown
    }

    /// Whether it was before the client asked.
    private func isPast(_ event: JSON) -> Bool {
        isHistory || event["timeNano"]?.intValue.map { Double($0) / 1e9 < since } ?? false
    }

    /// Passes on what no engine tells.
    private func passOwn(_ events: AsyncStream<JSON>, after past: [JSON]) async {
        do {
            for event in past { try await client.write(ByteBuffer(string: event.text + "\n")) }
            for await event in events where filters.admit(objectEvent: event) {
                try await client.write(ByteBuffer(string: event.text + "\n"))
            }
        } catch {
            return
        }
    }

    /// What no engine tells, of the time that the client asks for.
    private var ownPast: [JSON] {
        let first = query.first("since").flatMap { Timestamp.asked($0, now: since) } ?? 0
        let last = query.first("until").flatMap { Timestamp.asked($0, now: since) } ?? .infinity
        return door.eventLog.past.filter { event in
            let seconds = Double(event["timeNano"]?.intValue ?? 0) / 1e9
            return (first...max(first, last)).contains(seconds) && filters.admit(objectEvent: event)
        }
    }

    private func followNew(_ targets: AsyncStream<NodeID>, _ known: Set<NodeID>) async {
        await withDiscardingTaskGroup { group in
            var seen = known
            for await node in targets where seen.insert(node).inserted {
                // What happened there before this stream stood belongs to it, too.
                group.addTask { await self.follow(node, from: String(Int64(self.since) - 5), isLate: true) }
            }
        }
    }

    /// Passes on a node's events, over every break of the link, until the client goes.
    /// - Parameter isLate: `start` lies before the client's question, as clocks may differ: what is older is passed over, unless it
    ///   is of a container that is here now.
    private func follow(_ node: NodeID, from start: String?, isLate: Bool = false) async {
        var last: String? = start
        while !Task.isCancelled {
            do {
                guard let stream = try await open(node, since: last) else { return }
                for try await line in Lines(stream.body) {
                    guard let event = try? JSON.parse(line), isNew(event, after: last) else { continue }
                    last = Self.moment(event) ?? last
                    if isLate, isOld(event) { continue }
                    // This stream may be ahead of the one that keeps the view: who hears of it here may ask at once.
                    if let route = door.routes[Self.container(of: event)] { door.hear(event, of: route) }
                    guard let shown = shown(event, at: node) else { continue }
                    try await client.write(ByteBuffer(string: shown.text + "\n"))
                }
                if hasEnd { return }
            } catch is CancellationError {
                return
            } catch {
                door.logger.debug("events of a node broke off", metadata: ["node": "\(node)", "error": "\(error)"])
            }
            last = last ?? String(Int64(since))
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// An event as the device's users know what it tells of; nil where they did not ask for it.
    private func shown(_ event: JSON, at node: NodeID) -> JSON? {
        guard let event = door.identified(event, at: node, isPast: isPast(event)) else { return nil }
        let shown = door.presentation.event(event) { door.network($0, named: $1, at: node) }
        guard ["network", "volume", "container"].allSatisfy({ filters.admit(event: shown, byName: $0) }) else {
            return nil
        }
        return shown
    }

    /// The container that an event is about: what it happened to, or what joined or left that.
    private static func container(of event: JSON) -> String {
        let actor = event["Actor"]
        return actor?["Attributes"]?["container"]?.stringValue ?? actor?["ID"]?.stringValue ?? ""
    }

    /// Nil where the node will not tell; fails where it cannot just now, as while its engine is stopped.
    private func open(_ node: NodeID, since: String?) async throws -> DockerStream? {
        var query = query
        if let since { query.set("since", since) }
        query.setFilters(await remoteFilters(node))
        let target = door.versioned(query.target("/events"), head, at: node)
        let stream = try await DockerClient(dialer: door.nodeDialer(node, purpose: "events"), maximumIdle: 0).stream(
            "GET", target)
        guard stream.status < 500 else { throw FrontDoorError(.unreachable, "status \(stream.status)") }
        return stream.status == 200 ? stream : nil
    }

    /// Names and ids here are others there; what comes is looked at here.
    private func remoteFilters(_ node: NodeID) async -> DockerFilters {
        var remote = filters
        for key in ["network", "volume", "container"] { remote.remove(key) }
        guard filters.contains("image") else { return remote }
        remote.remove("image")
        for value in filters.values("image") {
            for route in door.routes.routes(to: node)
            where ImageReference(route.image)?.resolved == ImageReference(value)?.resolved {
                remote.add("image", door.imageNames.id(of: route.imageID, at: node))
            }
            // Containers that are still to come are of the image that the name means now.
            if let id = await door.imageID(value) { remote.add("image", door.imageNames.id(of: id, at: node)) }
            remote.add("image", value)
        }
        return remote
    }

    private func isOld(_ event: JSON) -> Bool {
        guard let nanos = event["timeNano"]?.intValue, Double(nanos) / 1e9 < since else { return false }
        return door.routes[Self.container(of: event)].map { $0.createdAt < since } ?? true
    }

    private func isNew(_ event: JSON, after last: String?) -> Bool {
        guard let last, last.contains("."), let moment = Self.moment(event) else { return true }
        return moment != last
    }

    /// `seconds.nanoseconds`, as `since` takes it.
    private static func moment(_ event: JSON) -> String? {
        guard let nanos = event["timeNano"]?.intValue, nanos >= 0 else { return nil }
        let fraction = String(nanos % 1_000_000_000)
        return "\(nanos / 1_000_000_000).\(String(repeating: "0", count: 9 - fraction.utf8.count))\(fraction)"
    }

    // MARK: History

    private func history(_ local: Local?, _ nodes: Set<NodeID>) async {
        var events: [JSON] = []
        if let stream = await local?() {
            events += await documents(stream).compactMap(shownHere)
        }
        for node in nodes {
            guard let stream = try? await open(node, since: nil) else { continue }
            events += await documents(stream).compactMap { shown($0, at: node) }
        }
        events += ownPast
        events.sort { ($0["timeNano"]?.intValue ?? 0) < ($1["timeNano"]?.intValue ?? 0) }
        for event in events { try? await client.write(ByteBuffer(string: event.text + "\n")) }
    }

    private func documents(_ stream: DockerStream) async -> [JSON] {
        var found: [JSON] = []
        do {
            for try await line in Lines(stream.body) {
                if let event = try? JSON.parse(line) { found.append(EventAction.canonical(event) ?? event) }
            }
        } catch {
            door.logger.debug("the history of a node broke off", metadata: ["error": "\(error)"])
        }
        return found
    }
}
