import Compression
import DockerAPI
import Engine
import Fleet
import Images
import Logging
import NIOCore

/// Layers that go from node to node, so that they need not cross the link of the device whose they are.
///
/// The device asks the node that has them for a promise to the one that lacks them, and hands that one the word for it. So
/// nobody gets what the device could not have sent: the giver looks whether it is the device's, and who comes for it.
extension Guard {
    /// `{"ChainIDs": [...], "To": NODE}` is answered with `{"Layers": [...], "Word": WORD}`: those of the layers that are part of
    /// an image of the caller's here, and by which word that node gets them. No word where there are none.
    func offerLayers(_ asked: JSON, _ scope: CallScope) async throws(DockerFailure) -> JSON {
        try checkGiving()
        guard asked.objectValue?.members.count == 2, let wanted = Self.digests(asked["ChainIDs"]), !wanted.isEmpty,
            let receiver = asked["To"]?.stringValue.flatMap({ try? NodeID($0) }), receiver != configuration.node
        else {
            throw DockerFailure(
                status: 400,
                message:
                    "lighter: the body must be ChainIDs, 1 to \(LayerBook.askLimit) digests, and To, another node, and nothing else"
            )
        }
        await noting?.value
        var found: (image: LayerDigest, layers: Set<LayerDigest>)?
        for image in try await listedImages() where rights.has(image.id, scope.origin) {
            let layers = Set(try await chain(of: image.id)).intersection(wanted)
            if layers.count > found?.layers.count ?? 0 { found = (image.id, layers) }
        }
        guard let found else { return ["Layers": []] }
        let offer = LayerOffers.Offer(
            origin: scope.origin, receiver: receiver, image: found.image, layers: found.layers,
            expires: now() + LayerOffers.lifetime)
        guard let word = offers.add(offer, at: now()) else {
            throw DockerFailure(
                status: 503, message: "lighter: node \(configuration.node) has promised too many layers; ask later")
        }
        cache.hold(found.image, until: now() + configuration.imageCacheKeep)
        return ["Layers": .array(wanted.filter(found.layers.contains).map { .string("\($0)") }), "Word": .string(word)]
    }

    /// `{"Word": WORD, "Kept": {DIFFID: BYTES}}` is answered with what was promised to the caller by that word, compressed, each
    /// layer without the beginning that the caller has.
    func giveLayers(_ asked: JSON, _ scope: CallScope) async throws(DockerFailure) -> Produced {
        try checkGiving()
        guard asked.objectValue?.members.count == 2, let word = asked["Word"]?.stringValue,
            let kept = Self.sizes(asked["Kept"])
        else {
            throw DockerFailure(
                status: 400, message: "lighter: the body must be Word, and Kept, sizes by digest, and nothing else")
        }
        let receiver = scope.origin
        guard giving.isFree(for: receiver) else {
            throw DockerFailure(status: 503, message: "lighter: node \(configuration.node) gives to enough others now")
        }
        guard let offer = offers.use(word, by: receiver, at: now()),
            let image = try await inventory.client.ask("/images/\(offer.image)/json"),
            let diffIDs = Self.digests(image["RootFS"]?["Layers"])
        else { throw DockerFailure(status: 404, message: "lighter: nothing was promised by this word") }
        return Produced(headers: [("Content-Encoding", "zstd")], contentType: "application/x-tar") { [self] write in
            // Another may have begun since.
            guard giving.isFree(for: receiver) else { throw DockerFailure(status: 503, message: "no turn is left") }
            giving.begin(receiver)
            defer { giving.end(receiver) }
            let source = try await archive(of: offer.image)
            var parcel = SparseArchive(diffIDs: diffIDs, missing: offer.layers, kept: kept, isParcel: true)
            let compressor = try ZstdCompressor()
            var bytes = 0
            for try await chunk in source.body {
                let piece = try compressor.compress(parcel.pass(chunk))
                bytes += piece.readableBytes
                try await write(piece)
            }
            try parcel.finish()
            let rest = try compressor.finish()
            try await write(rest)
            logger.info(
                "layers given",
                metadata: [
                    "to": "\(receiver)", "origin": "\(offer.origin)", "image": "\(offer.image)",
                    "layers": "\(parcel.arrived.count)", "bytes": "\(bytes + rest.readableBytes)",
                ])
        }
    }

    private func checkGiving() throws(DockerFailure) {
        guard configuration.givesLayers else {
            throw DockerFailure(
                status: 403,
                message: "lighter: node \(configuration.node) gives no layers to other nodes (give_layers is false)")
        }
    }

    private func chain(of image: LayerDigest) async throws(DockerFailure) -> [LayerDigest] {
        do throws(EngineError) { return try await layers.chain(of: "\(image)") } catch { throw error.failureOfEngine }
    }

    // MARK: Getting

    /// What a device wants a neighbour to be asked for.
    private struct Errand: Sendable {
        var origin: CallScope
        var source: NodeID
        var word: String
        /// Diff ids.
        var layers: Set<LayerDigest>
        /// Bytes a second below which it is not worth it.
        var pace: Int64
    }

    /// How an errand goes.
    @NodeLoop
    private final class Progress {
        var bytes = 0
        var arrived: Set<LayerDigest> = []
        var passed: Set<LayerDigest> = []
        var moving: SparseArchive.Moving?
        /// The last that was told.
        private var told: SparseArchive.Moving?
        nonisolated init() {}

        /// What there is to tell: a layer that has begun or ended, a fiftieth of it, or a MiB; anything new where it is `pressing`.
        func news(pressing: Bool = false) -> JSON? {
            guard let moving, moving != told else { return nil }
            let step = max(1 << 20, moving.size / 50)
            guard
                pressing || moving.layer != told?.layer || moving.sent == moving.size
                    || moving.sent - (told?.sent ?? 0) >= step
            else { return nil }
            told = moving
            return ["Layer": .string("\(moving.layer)"), "Got": .int(moving.sent), "Size": .int(moving.size)]
        }
    }

    /// `{"From": NODE, "Word": WORD, "Layers": [...], "Pace": BYTES}`: gets layers, by diff id, that the node has promised, for the
    /// caller's next load. What comes is told line by line: `{"Layer", "Got", "Size"}`, `{}` for nothing new, and at last
    /// `{"Arrived": [...], "Passed": [...], "Bytes", "Error"}`, those that are here, those too small to be kept, and what was in the way.
    func fetchLayers(_ asked: JSON, _ scope: CallScope) throws(DockerFailure) -> Produced {
        guard asked.objectValue?.members.count == 4, let word = asked["Word"]?.stringValue, word.utf8.count <= 128,
            let source = asked["From"]?.stringValue.flatMap({ try? NodeID($0) }),
            source != configuration.node, source != scope.origin, let layers = Self.digests(asked["Layers"]),
            !layers.isEmpty, let pace = asked["Pace"]?.intValue, (0...1 << 40).contains(pace)
        else {
            throw DockerFailure(
                status: 400, message: "lighter: the body must be From, Word, Layers and Pace, and nothing else")
        }
        guard let neighbour, configuration.layers != nil else {
            throw DockerFailure(
                status: 501, message: "lighter: node \(configuration.node) gets no layers from other nodes")
        }
        try checkHeadroom()
        guard fetching.isFree(for: scope.origin) else {
            throw DockerFailure(status: 503, message: "lighter: node \(configuration.node) gets enough layers now")
        }
        let errand = Errand(origin: scope, source: source, word: word, layers: Set(layers), pace: pace)
        return Produced(headers: [], contentType: "application/json") { [self] write in
            guard fetching.isFree(for: scope.origin) else {
                throw DockerFailure(status: 503, message: "no turn is left")
            }
            fetching.begin(scope.origin)
            defer { fetching.end(scope.origin) }
            // A caller that does not read holds nothing up: of what was to be told it misses some, but not the last.
            let (lines, tell) = AsyncStream.makeStream(of: JSON.self, bufferingPolicy: .bufferingNewest(16))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.run(errand, neighbour(source), tell) }
                for await line in lines { try await write(ByteBuffer(string: line.text + "\n")) }
            }
        }
    }

    private func run(
        _ errand: Errand, _ dialer: any DockerDialer, _ tell: AsyncStream<JSON>.Continuation
    ) async {
        let progress = Progress()
        var failure: (any Error)?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.take(errand, dialer, progress, tell) }
                group.addTask { try await self.watch(errand, progress, tell) }
                defer { group.cancelAll() }
                // The one ends with the parcel, the other never but with an error.
                try await group.next()
            }
        } catch {
            failure = error
        }
        var metadata: Logger.Metadata = [
            "from": "\(errand.source)", "origin": "\(errand.origin.origin)",
            "layers": "\(progress.arrived.count) of \(errand.layers.count)", "bytes": "\(progress.bytes)",
        ]
        if let failure { metadata["reason"] = "\(failure)" }
        logger.info(failure == nil ? "layers fetched" : "layers were not all fetched", metadata: metadata)
        var last: JSON = [
            "Arrived": Self.list(progress.arrived), "Passed": Self.list(progress.passed),
            "Bytes": .int(Int64(progress.bytes)),
        ]
        if let failure { last["Error"] = .string("\(failure)") }
        tell.yield(last)
        tell.finish()
    }

    /// Takes one parcel in, no faster than the disk takes it.
    private func take(
        _ errand: Errand, _ dialer: any DockerDialer, _ progress: Progress, _ tell: AsyncStream<JSON>.Continuation
    ) async throws {
        guard let store = layerStore(of: errand.origin) else { return }
        let kept = store.kept().filter { errand.layers.contains($0.key) }.sorted { $0.key.hex < $1.key.hex }
        let order: JSON = [
            "Word": .string(errand.word),
            "Kept": .object(JSONObject(kept.map { .init(key: "\($0)", value: .int($1)) })),
        ]
        let client = DockerClient(dialer: dialer, maximumIdle: 0)
        let answer = try await client.stream("POST", "/lighter/give", body: .bytes(order.buffer))
        guard answer.status == 200 else {
            let said = try await answer.collect(limit: 64 << 10)
            throw DockerFailure(
                status: 502,
                message: (try? said.json())?["message"]?.stringValue.map { String($0.prefix(200)) }
                    ?? "status \(answer.status)")
        }
        let limit = min(LayerStore.limit, configuration.policy.maximumImage.bytes)
        let intake = try LayerIntake(wanted: errand.layers, shelf: store, limit: limit)
        defer {
            progress.arrived = intake.arrived
            progress.passed = intake.passed
        }
        for try await piece in answer.body {
            progress.bytes += piece.readableBytes
            intake.add(piece)
            while try intake.step() {
                if let moving = intake.moving { progress.moving = moving }
                if let line = progress.news() { tell.yield(line) }
                // Between two pieces of what is only read others have their turn.
                await Task.yield()
            }
            try Task.checkCancellation()
        }
        try intake.finish()
    }

    /// Ticks in which a neighbour may begin, as some engines write a whole image to disk before they give it out; and in
    /// which it may be slower than it should.
    private static let silentTicks = 6
    private static let slowTicks = 2

    /// Throws as soon as the parcel does not come as it should; until then says that it is waited for.
    private func watch(
        _ errand: Errand, _ progress: Progress, _ tell: AsyncStream<JSON>.Continuation
    ) async throws {
        let tick = configuration.fetchTick
        let least = max(1, Int(Double(errand.pace) * (tick / .seconds(1))))
        var before = 0
        var silent = 0
        var slow = 0
        while true {
            try await Task.sleep(for: tick)
            tell.yield(progress.news(pressing: true) ?? [:])
            let moved = progress.bytes - before
            before = progress.bytes
            silent = before == 0 ? silent + 1 : 0
            slow = before > 0 && moved < least ? slow + 1 : 0
            guard silent < Self.silentTicks, slow < Self.slowTicks else {
                throw DockerFailure(
                    status: 504,
                    message: before == 0
                        ? "nothing has come of node \(errand.source)" : "node \(errand.source) is too slow")
            }
        }
    }

    // MARK: Reading

    /// nil where it is not a list of digests, or one that is too long.
    private static func digests(_ json: JSON?) -> [LayerDigest]? {
        guard let list = json?.arrayValue, list.count <= LayerBook.askLimit else { return nil }
        let found = list.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        return found.count == list.count ? found : nil
    }

    private static func list(_ digests: Set<LayerDigest>) -> JSON {
        .array(digests.sorted { $0.hex < $1.hex }.map { .string("\($0)") })
    }

    /// Bytes by digest.
    static func sizes(_ json: JSON?) -> [LayerDigest: Int64]? {
        guard let members = json?.objectValue?.members, members.count <= LayerStore.listLimit else { return nil }
        var found: [LayerDigest: Int64] = [:]
        for member in members {
            guard let layer = LayerDigest(member.key), let bytes = member.value.intValue, bytes >= 0 else { return nil }
            found[layer] = bytes
        }
        return found
    }
}
