import DockerAPI
import Engine
import Fleet
import Logging
import Mounts
import NIOCore
import Synchronization
import Trust
import Wire

/// What a container of another node's takes along when it is moved: its volumes and its writable layer.
extension Guard {
    /// Gives out, or takes in, one tree, for as long as the stream stands.
    nonisolated func accept(
        stream: any Channel, tree call: Lighter_V1_TreeCall, peer: PeerIdentity
    ) -> EventLoopFuture<Void> {
        let ticket = Array(call.ticket)
        return stream.eventLoop.makeCompletedFuture {
            try NodeLoop.assumeIsolated {
                (self.caller(ticket: ticket, peer: peer), try ChannelPipe.prepare(stream))
            }
        }.map { (caller: Result<CallScope, DockerFailure>, pipe: ChannelPipe.Prepared) in
            // Unstructured: it lives as long as the stream, which a channel's callback cannot wait for.
            Task { await self.serve(call, caller, pipe) }
        }
    }

    private typealias FrameHandler = @Sendable (TreeFrame) async throws -> Void

    private nonisolated func serve(
        _ call: Lighter_V1_TreeCall, _ caller: Result<CallScope, DockerFailure>, _ pipe: ChannelPipe.Prepared
    ) async {
        do {
            try await pipe.with { pipe in
                var handle: FrameHandler?
                var reader = TreeFrameReader()
                do {
                    handle =
                        call.writes
                        ? try await taker(call.volume, caller, pipe) : try await giver(call.volume, caller, pipe)
                } catch {
                    try await self.refuse(error, pipe)
                }
                for try await bytes in pipe.inbound {
                    // Whoever has heard of a failure hangs up.
                    guard let current = handle else { continue }
                    do {
                        reader.add(bytes)
                        while let frame = try reader.next() { try await current(frame) }
                    } catch {
                        handle = nil
                        try await self.refuse(error, pipe)
                    }
                }
            }
        } catch {
            logger.info("a tree's stream ended", metadata: ["reason": "\(error)"])
        }
    }

    private nonisolated func refuse(_ error: any Error, _ pipe: ChannelPipe) async throws {
        let reason = (error as? DockerFailure)?.message ?? (error as? MountError)?.message ?? "\(error)"
        logger.info("a tree does not travel", metadata: ["reason": "\(reason)"])
        try await pipe.send(TreeFrame.failed(reason).bytes)
    }

    private nonisolated func giver(
        _ volume: String, _ caller: Result<CallScope, DockerFailure>, _ pipe: ChannelPipe
    ) async throws -> FrameHandler {
        let source = try TreeSource(path: try await source(volume, caller), isLayer: volume.isEmpty)
        return { frame in
            guard case .pass = frame else { throw MountError(.protocolViolation, "a source is only asked for passes") }
            try await source.pass { try await pipe.send($0) }
        }
    }

    private nonisolated func taker(
        _ volume: String, _ caller: Result<CallScope, DockerFailure>, _ pipe: ChannelPipe
    ) async throws -> FrameHandler {
        let copy = try TreeCopy(path: try await emptyVolume(volume, caller))
        let isAtBeginning = Atomic(false)
        return { [self] frame in
            try await checkRoom()
            // Who uses it meanwhile could be written to.
            if isAtBeginning.exchange(false, ordering: .relaxed) { _ = try await emptyVolume(volume, caller) }
            guard try await copy.take(frame) else { return }
            isAtBeginning.store(true, ordering: .relaxed)
            try await pipe.send(TreeFrame.end(TreeTally()).bytes)
        }
    }

    private func checkRoom() throws(DockerFailure) { try checkHeadroom() }

    // MARK: Where it is

    /// The folder of a volume that the ticket's container has, or of its layer where no volume is named.
    private func source(
        _ volume: String, _ caller: Result<CallScope, DockerFailure>
    ) async throws(DockerFailure) -> String {
        let (container, scope) = try await movedContainer(caller)
        guard !volume.isEmpty else { return try layer(of: container) }
        let found = try await own(.volume, volume, scope.origin)
        let name = found?["Name"]?.stringValue
        let mounts = container["Mounts"]?.arrayValue ?? []
        guard let found,
            mounts.contains(where: { $0["Type"]?.stringValue == "volume" && $0["Name"]?.stringValue == name })
        else { throw DockerFailure(status: 404, message: "get \(volume): no such volume") }
        return try folder(of: found, volume)
    }

    private func movedContainer(
        _ caller: Result<CallScope, DockerFailure>
    ) async throws(DockerFailure) -> (JSON, CallScope) {
        let scope = try caller.get()
        guard let ticket = scope.ticket else {
            throw DockerFailure(
                status: 403, message: "lighter: what a container wrote is read with its workload's ticket")
        }
        try checkStillValid(ticket)
        let record = inventory.index.containers(of: ticket.workload)
            .filter { !$0.isLocal && $0.workload.version.epoch <= ticket.epoch }
            .max { $0.workload.version.epoch < $1.workload.version.epoch }
        guard let record, let container = try await inventory.client.ask("/containers/\(record.id)/json") else {
            throw .noSuchContainer(ticket.workload.hex)
        }
        return (container, scope)
    }

    private func layer(of container: JSON) throws(DockerFailure) -> String {
        if let folder = container["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue, !folder.isEmpty { return folder }
        let name = container["GraphDriver"]?["Name"]?.stringValue ?? "its store"
        throw DockerFailure(
            status: 409,
            message:
                "lighter: the engine of node \(configuration.node) keeps what containers write in \(name), out of reach: "
                + "only with overlay2 it can travel")
    }

    private func folder(of volume: JSON, _ name: String) throws(DockerFailure) -> String {
        guard volume["Driver"]?.stringValue == "local", volume["Options"]?.objectValue?.isEmpty ?? true,
            let folder = volume["Mountpoint"]?.stringValue, !folder.isEmpty
        else {
            throw DockerFailure(
                status: 409, message: "lighter: volume \(name) is of a driver, or has options: it stays where it is")
        }
        return folder
    }

    /// The folder of a volume of the caller's that no container uses.
    private func emptyVolume(
        _ name: String, _ caller: Result<CallScope, DockerFailure>
    ) async throws(DockerFailure) -> String {
        let (found, engineName) = try await ownVolume(name, try caller.get().origin)
        var filters = DockerFilters()
        filters.add("volume", engineName)
        var query = Query()
        query.set("all", "1")
        query.setFilters(filters)
        let users = try await inventory.client.ask(query.target("/containers/json"))?.arrayValue ?? []
        guard users.isEmpty else {
            throw DockerFailure(status: 409, message: "lighter: volume \(name) is in use at node \(configuration.node)")
        }
        return try folder(of: found, name)
    }

    private func ownVolume(_ name: String, _ origin: NodeID) async throws(DockerFailure) -> (JSON, String) {
        guard let found = try await own(.volume, name, origin), let engineName = found["Name"]?.stringValue else {
            throw DockerFailure(status: 404, message: "get \(name): no such volume")
        }
        return (found, engineName)
    }

    // MARK: Into place

    /// `{"Volume": NAME, "Into": BOOL}`: what the volume holds becomes the writable layer of the ticket's container, or the other
    /// way round. What was in the layer is gone then; to take one out twice loses nothing.
    func placeLayer(_ asked: JSON, _ scope: CallScope) async throws(DockerFailure) -> JSON {
        guard let name = asked["Volume"]?.stringValue, let isInto = asked["Into"]?.boolValue,
            asked.objectValue?.members.count == 2
        else {
            throw DockerFailure(status: 400, message: "lighter: the body must be Volume and Into, and nothing else")
        }
        let (container, _) = try await movedContainer(.success(scope))
        guard container["State"]?["Running"]?.boolValue == false else {
            throw DockerFailure(status: 409, message: "lighter: the container runs: its layer cannot be put into place")
        }
        let layer = try layer(of: container)
        let volume = try await emptyVolume(name, .success(scope))
        do {
            try await LayerPlace.move(isInto ? volume : layer, to: isInto ? layer : volume, replacing: isInto)
        } catch {
            throw DockerFailure(status: 500, message: "lighter: \((error as? MountError)?.message ?? "\(error)")")
        }
        return [:]
    }
}
