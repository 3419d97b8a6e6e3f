internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import Mounts
internal import NIOCore
internal import Session

/// What a container that is moved takes along: what it is, whether it can travel, and its way.
extension FrontDoor {
    /// Passes while it runs are repeated as long as each took longer than this, and not more often.
    private static let shortPass = Duration.seconds(1)
    private static let mostPasses = 5

    // MARK: What it is

    /// - Throws: `Stayed` with what cannot travel.
    func luggage(_ container: JSON, of route: Route, to node: NodeID) async throws -> Luggage {
        var luggage = Luggage(container, route.workload, presentation.name)
        guard !route.removesItself else {
            throw Stayed(reason: "it removes itself when it is stopped (--rm), with all that it wrote")
        }
        guard container["State"]?["Paused"]?.boolValue != true else {
            throw Stayed(reason: "it is paused: `docker unpause` it first")
        }
        for mount in container["Mounts"]?.arrayValue ?? [] where mount["Type"]?.stringValue == "volume" {
            let driver = mount["Driver"]?.stringValue ?? "local"
            guard driver == "local" else {
                throw Stayed(
                    reason:
                        "volume \(presentation.name(mount["Name"]?.stringValue ?? "")) is of driver \(driver), not local"
                )
            }
        }
        for index in luggage.volumes.indices {
            luggage.volumes[index].shown = try await shown(luggage.volumes[index].name, route)
        }
        try await checkAlone(luggage, route)
        guard container["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue?.isEmpty == false else {
            throw Stayed(reason: Self.outOfReach(route.target))
        }
        guard try await keepsLayersInFolders(node) else { throw Stayed(reason: Self.outOfReach(node)) }
        for volume in luggage.volumes { try await checkFree(volume.name, at: node) }
        return luggage
    }

    private static func outOfReach(_ node: NodeID) -> String {
        "the engine of node \(node) keeps what containers write out of reach: only with overlay2 it can travel"
    }

    /// A volume as its users see it.
    private func shown(_ volume: String, _ route: Route) async throws -> JSON {
        if case .away(_, let shown)? = volumes[volume] { return shown }
        guard route.target == control.node else { return [:] }
        let answer = try await client(at: control.node, purpose: "volume").request("GET", Self.volumePath(volume))
        let shown = answer.status == 200 ? try answer.json() : [:]
        guard shown["Options"]?.objectValue?.isEmpty ?? true else {
            throw Stayed(reason: "volume \(volume) has options, with which it stays where it is")
        }
        return shown
    }

    /// A volume is in one place, and draws all who use it there.
    func checkAlone(_ luggage: Luggage, _ route: Route) async throws {
        for volume in luggage.volumes {
            var others = routes.others(than: route, using: volume.name).map { ($0.containerID, $0.name) }
            if route.target == control.node { others += try await usersHere(of: volume.name) }
            let names = others.filter { $0.0 != route.containerID }.map(\.1).sorted().joined(separator: ", ")
            guard names.isEmpty else {
                throw Stayed(reason: "volume \(volume.name) is used by \(names), too: move or remove that first")
            }
        }
    }

    func usersHere(of volume: String) async throws -> [(String, String)] {
        let list = try await client(at: control.node, purpose: "list").containers(where: ["volume": volume])
        return list.map { user in
            let name = user["Names"]?[0]?.stringValue.map { String($0.dropFirst()) } ?? ""
            return (user["Id"]?.stringValue ?? "", name)
        }
    }

    func keepsLayersInFolders(_ node: NodeID) async throws -> Bool {
        let answer = try await client(at: node, purpose: "info").request("GET", "/info")
        return ["overlay2", "overlay"].contains((try? answer.json())?["Driver"]?.stringValue)
    }

    private func checkFree(_ volume: String, at node: NodeID) async throws {
        if try routes.journal.strays().contains(.init(volume: volume, node: node)) {
            try await removeStray(.init(volume: volume, node: node))
        }
        let answer = try await client(at: node, purpose: "volume").request("GET", Self.volumePath(volume))
        guard answer.status == 404 else {
            throw Stayed(reason: "\(node) has a volume \(volume) already: remove that there, or rename it")
        }
    }

    /// The engine of a node, by way of its guard; this device's own by its socket.
    func client(at node: NodeID, purpose: String) throws -> DockerClient {
        guard node == control.node else {
            return DockerClient(dialer: nodeDialer(node, purpose: purpose), maximumIdle: 0)
        }
        guard let engineClient else { throw Stayed(reason: "this device has no engine of its own") }
        return engineClient
    }

    /// The image that the container was made of, whatever its name means by now.
    func originalImage(_ container: JSON, of route: Route) async throws -> LocalImage {
        guard let id = container["Image"]?.stringValue.flatMap({ LayerDigest(imageID: $0) }) else {
            throw Stayed(reason: "its engine does not say what image it was made of")
        }
        let here = route.target == control.node ? id : try await bring(id, from: route.target)
        guard let image = await localImage("\(here)") else {
            throw Stayed(reason: "its image \(id) is not on this device: pull or build it again")
        }
        return image
    }

    /// A create that uses a volume which travels waits for its arrival.
    func waitForTravellers(_ names: [String]) async throws(DockerFailure) {
        let end = ContinuousClock.now + .seconds(30)
        while let name = names.first(where: { name in carrying.values.contains { $0.names.contains(name) } }) {
            do {
                guard ContinuousClock.now < end else { throw CancellationError() }
                try await Task.sleep(for: .milliseconds(50))
            } catch {
                throw DockerFailure(
                    status: 409,
                    message: "lighter: volume \(name) is travelling with its container: try again when that is moved")
            }
        }
    }

    // MARK: Its copies

    /// Makes the volumes that its copies will be. What is made is known to the journal before.
    func makeCopies(_ luggage: Luggage, at node: NodeID) async throws {
        // Of an earlier try, it would hold what the container has not any more.
        try await removeStray(.init(volume: luggage.waitingRoom, node: node))
        try await makeVolume(luggage.waitingRoom, nil, at: node)
        for volume in luggage.volumes {
            try await makeVolume(volume.name, volume.shown["Labels"], at: node)
        }
    }

    func makeVolume(_ name: String, _ labels: JSON?, at node: NodeID) async throws {
        try routes.journal.put(.init(volume: name, node: node))
        if node == control.node { eventLog.beginMove(of: name, now: now()) }
        defer { if node == control.node { eventLog.endMove(of: name, now: now()) } }
        let body: JSON = ["Name": .string(name), "Labels": labels ?? .null]
        let client = try client(at: node, purpose: "volume")
        let answer = try await client.request("POST", "/volumes/create", body: body.buffer)
        guard answer.status == 201 else {
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
    }

    func discardCopies(_ luggage: Luggage, at node: NodeID) async {
        for name in luggage.names.union([luggage.waitingRoom]) {
            do { try await removeStray(.init(volume: name, node: node)) } catch {
                logger.notice(
                    "a copy is removed when its node can be asked",
                    metadata: ["volume": "\(name)", "node": "\(node)", "reason": "\(error)"])
            }
        }
    }

    // MARK: Its way

    /// Carries all to the node: while the container runs, and what has changed since once `stop` has returned.
    func carry(
        _ luggage: Luggage, of route: Route, to node: NodeID,
        stop: @escaping @Sendable @NodeLoop () async throws -> Void
    ) async throws -> Journey {
        var trees: [(source: TreeCarrier.Source, target: TreeCarrier.Target)] = []
        for (volume, copy) in [("", luggage.waitingRoom)] + luggage.volumes.map({ ($0.name, $0.name) }) {
            trees.append((try await source(volume, of: route), try await target(copy, at: node)))
        }
        let box = JourneyBox()
        try await TreeCarrier.with(trees) { carriers in
            for _ in 0..<Self.mostPasses {
                let start = ContinuousClock.now
                for carrier in carriers { box.journey.ahead += try await carrier.pass().bytes }
                if start.duration(to: .now) < Self.shortPass { break }
            }
            try await stop()
            for (index, carrier) in carriers.enumerated() {
                let tally = try await carrier.pass()
                box.journey.last += tally.bytes
                // The first is the layer.
                if index > 0, tally.entries == 0 { box.journey.empty.insert(luggage.volumes[index - 1].name) }
            }
        }
        return box.journey
    }

    /// - Parameter volume: empty for the writable layer.
    private func source(_ volume: String, of route: Route) async throws -> TreeCarrier.Source {
        guard route.target == control.node else {
            var dialer = dialer(to: route, purpose: "tree")
            dialer.kind = .tree(volume: volume, writes: false)
            return .away(dialer)
        }
        let layer = await inspectLocal(route.containerID)?["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue
        let path = volume.isEmpty ? layer : try await mountpoint(of: volume)
        guard let path else { throw Stayed(reason: Self.outOfReach(control.node)) }
        return .here(try TreeSource(path: path, isLayer: volume.isEmpty))
    }

    private func target(_ volume: String, at node: NodeID) async throws -> TreeCarrier.Target {
        guard node == control.node else {
            var dialer = nodeDialer(node, purpose: "tree")
            dialer.kind = .tree(volume: volume, writes: true)
            return .away(dialer)
        }
        return .here(try TreeCopy(path: try await mountpoint(of: volume)))
    }

    private func mountpoint(of volume: String) async throws -> String {
        let answer = try await client(at: control.node, purpose: "volume").request("GET", Self.volumePath(volume))
        guard answer.status == 200, let folder = try answer.json()["Mountpoint"]?.stringValue else {
            throw Stayed(reason: "this device's engine has no volume \(volume)")
        }
        return folder
    }

    /// Puts its layer into a container that was made at a node, and has not run.
    /// - Parameter lease: nil for this device's own engine.
    func unpack(_ luggage: Luggage, _ lease: PendingLease?, engineID: String) async throws {
        if let lease {
            let client = DockerClient(dialer: dialer(to: lease, purpose: "layer"), maximumIdle: 0)
            return try await Self.placeLayer(luggage.waitingRoom, into: true, client)
        }
        guard let made = await inspectLocal(engineID),
            let layer = made["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue
        else { throw Stayed(reason: Self.outOfReach(control.node)) }
        try await LayerPlace.move(try await mountpoint(of: luggage.waitingRoom), to: layer, replacing: true)
    }

    /// - Parameter client: of the node that has the container, with the ticket of its workload.
    static func placeLayer(_ volume: String, into: Bool, _ client: DockerClient) async throws {
        let body: JSON = ["Volume": .string(volume), "Into": .bool(into)]
        let answer = try await client.request("POST", "/lighter/layer", body: body.buffer)
        guard answer.status == 200 else { throw Stayed(reason: message(of: answer)) }
    }

    /// Its volumes are there from now on; their former places are strays.
    func settle(_ luggage: Luggage, at node: NodeID, before: NodeID) async {
        for volume in luggage.volumes {
            do {
                if node == control.node {
                    try volumes.put(nil, for: volume.name)
                } else {
                    var shown = volume.shown
                    let answer = try? await client(at: node, purpose: "volume").request(
                        "GET", Self.volumePath(volume.name))
                    if let answer, answer.status == 200, let found = try? JSON.parse(answer.body) {
                        let created = shown["CreatedAt"]
                        shown = presentation.volume(found, at: node)
                        if let created { shown["CreatedAt"] = created }
                    }
                    shown["Status"] = ["lighter.node": .string(node.name)]
                    try volumes.put(.away(node, shown), for: volume.name)
                }
                try routes.journal.put(.init(volume: volume.name, node: before))
                try routes.journal.remove(.init(volume: volume.name, node: node))
            } catch {
                logger.error(
                    "a volume's place was not kept", metadata: ["volume": "\(volume.name)", "error": "\(error)"])
            }
        }
    }
}

@NodeLoop
private final class JourneyBox {
    var journey = Journey()
}
