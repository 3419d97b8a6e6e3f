internal import Compression
internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// From this device's engine to another node's: only the layers that are missing there.
extension FrontDoor {
    /// - Parameter away: where only another node has the image: it comes from there, by what is near, or else by way of here.
    func ship(_ image: LocalImage, to target: NodeID, away: AwayImage? = nil) -> Shipment {
        shipments.shipment(of: image, to: target, away: away) { shipment in
            start {
                do {
                    try await self.carry(shipment)
                    self.estimates.note(image: image.id, at: target)
                    self.shipments.ended(shipment)
                    shipment.end(.success(()))
                } catch {
                    self.shipments.ended(shipment)
                    shipment.end(.failure(error))
                }
            }
        }
    }

    /// Sends the image of a container that runs here to the nodes where its next ones may, while nobody waits for it.
    func preload(_ image: LocalImage?) {
        guard let image, configuration.preloadNodes > 0 else { return }
        let holders = estimates.holders(of: image.id)
        for node in likeliest.prefix(configuration.preloadNodes) where !holders.contains(node) {
            start { [self] in
                do {
                    try await ship(image, to: node).wait()
                    estimates.note(image: image.id, at: node)
                    await pinPreloaded(image, at: node)
                } catch {
                    logger.notice(
                        "an image was not sent ahead",
                        metadata: ["image": "\(image.id)", "node": "\(node)", "reason": "\(error)"])
                }
            }
        }
    }

    private func carry(_ shipment: Shipment) async throws {
        let image = shipment.image
        if await hasImage(image.id, at: shipment.target) { return shipment.begin(missing: []) }
        let isGathered = await gather(shipment)
        if let away = shipment.away, isGathered, await relay(away, shipment) { return logShipped(shipment) }
        if !isGathered {
            for digest in image.repositoryDigests where await pull(digest, shipment) { return }
        }
        if let away = shipment.away { try await settle(away) }
        guard engineClient != nil else { return }
        await shipment.waitForSharedLayers()
        try await send(shipment)
        guard await hasImage(image.id, at: shipment.target) else {
            throw FrontDoorError(.unreachable, "node \(shipment.target) does not have \(image.id) after it was sent")
        }
        logShipped(shipment)
    }

    private func logShipped(_ shipment: Shipment) {
        let fetched = Dictionary(grouping: shipment.givers.values) { $0 }.sorted { $0.key < $1.key }
        let sent = shipment.layers.count { $0.value == .arrived && shipment.givers[$0.key] == nil }
        logger.info(
            "image shipped",
            metadata: [
                "image": "\(shipment.image.id)", "node": "\(shipment.target)", "bytes": "\(shipment.sent)",
                "kept": "\(shipment.spared)", "layers": "\(sent) of \(shipment.layers.count)",
                "neighbours": "\(fetched.map { "\($0.key): \($0.value.count)" }.joined(separator: ", "))",
            ])
    }

    /// What a node says of an image that is to be sent there.
    struct ImageReception: Sendable {
        /// Chain ids.
        var missing: Set<LayerDigest>
        var encoding: String?
        /// By diff id, bytes that are there of an earlier try; nil where the node keeps none.
        var kept: [LayerDigest: Int64]?

        /// Everything from its beginning.
        var afresh: ImageReception { ImageReception(missing: missing, encoding: encoding, kept: kept.map { _ in [:] }) }
        var resumes: Bool { kept.map { !$0.isEmpty } ?? false }
    }

    /// Sends the missing layers; all of them where the target says nothing of what it has, or does not take a part.
    private func send(_ shipment: Shipment) async throws {
        let target = shipment.target
        let here = await layersAt(target, of: shipment)
        let all = Set(shipment.chainIDs)
        if let here, here.missing != all, !shipments.takesWholeOnly.contains(target) {
            guard var refusal = try await send(shipment, missing: here.missing, here) else { return }
            if here.resumes {
                // What was kept there may be damaged: its engine has found that out.
                guard let again = try await send(shipment, missing: here.missing, here.afresh) else { return }
                refusal = again
            }
            let after = await layersAt(target, of: shipment)
            logger.notice(
                "an image is sent whole: the node did not take a part of it",
                metadata: ["image": "\(shipment.image.id)", "node": "\(target)", "reason": "\(refusal)"])
            try await sendWhole(shipment, all, here.afresh)
            // Unless an image that had its layers was removed meanwhile, it is the engine's image store that needs them all.
            if after?.missing == here.missing { shipments.takesWholeOnly.insert(target) }
        } else {
            try await sendWhole(shipment, all, here)
        }
    }

    private func sendWhole(_ shipment: Shipment, _ layers: Set<LayerDigest>, _ reception: ImageReception?) async throws
    {
        var refusal = try await send(shipment, missing: layers, reception)
        if refusal != nil, let reception, reception.resumes {
            refusal = try await send(shipment, missing: layers, reception.afresh)
        }
        guard let refusal else { return }
        throw FrontDoorError(.unreachable, "node \(shipment.target) did not take the image: \(refusal)")
    }

    /// - Returns: what the target's engine says against it; nil when it took the archive.
    /// - Throws: what speaks against any other archive as well.
    private func send(
        _ shipment: Shipment, missing: Set<LayerDigest>, _ reception: ImageReception?
    ) async throws -> String? {
        guard let engineClient else { throw FrontDoorError(.unreachable, "this device has no engine of its own") }
        let source = try await engineClient.stream("GET", "/images/\(shipment.image.id)/get")
        guard source.status == 200 else {
            throw FrontDoorError(.unreachable, "this device's engine does not give out \(shipment.image.id)")
        }
        shipment.begin(missing: missing)
        let encoding = reception?.encoding
        let kept = encoding == nil ? nil : reception?.kept
        let body = RequestBody.producing { write in
            var archive = SparseArchive(diffIDs: shipment.image.diffIDs, missing: missing, kept: kept)
            let compressor = encoding == nil ? nil : try ZstdCompressor()
            for try await chunk in source.body {
                let passed = try archive.pass(chunk)
                let sent = try compressor?.compress(passed) ?? passed
                try await write(sent)
                await shipment.advance(
                    by: sent.readableBytes, moving: archive.moving, arrived: archive.arrived, spared: archive.spared)
            }
            try archive.finish()
            if let rest = try compressor?.finish() {
                try await write(rest)
                await shipment.advance(
                    by: rest.readableBytes, moving: nil, arrived: archive.arrived, spared: archive.spared)
            }
        }
        let (answer, said) = try await load(body, encoding: encoding, isMarked: kept != nil, at: shipment.target)
        if answer.status == 200, !said.contains("\"errorDetail\"") {
            if let loaded = Self.loadedImage(said) { note(shipment.image, at: shipment.target, is: "\(loaded)") }
            return nil
        }
        // The guard itself refuses with 400 what it does not have any more of what it had kept.
        if answer.status == 400, let kept, !kept.isEmpty { return said }
        guard answer.headers.first("X-Lighter-Refused") == nil else {
            throw FrontDoorError(.unreachable, "node \(shipment.target) did not take the image: \(said)")
        }
        return said
    }

    /// What a node's engine says of an archive.
    func load(
        _ body: RequestBody, encoding: String?, isMarked: Bool, at node: NodeID
    ) async throws -> (answer: DockerResponse, said: String) {
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        var headers = [("Content-Type", "application/x-tar")] + (encoding.map { [("Content-Encoding", $0)] } ?? [])
        if isMarked { headers.append(("X-Lighter-Layers", "marked")) }
        let answer = try await client.stream("POST", "/images/load?quiet=1", headers: headers, body: body).collect()
        return (answer, String(buffer: answer.body))
    }

    /// nil where the node does not say.
    func layersAt(_ node: NodeID, of shipment: Shipment) async -> ImageReception? {
        guard !shipment.chainIDs.isEmpty else { return nil }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        let question: JSON = ["ChainIDs": .array(shipment.chainIDs.map { .string("\($0)") })]
        guard let answer = try? await client.request("POST", "/lighter/layers?hold=1", body: question.buffer),
            answer.status == 200, let json = try? JSON.parse(answer.body), let missing = json["Missing"]?.arrayValue
        else { return nil }
        let encodings = json["Encodings"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let wanted = Set(shipment.image.diffIDs)
        let kept = json["Kept"]?.objectValue.map { said in
            said.members.reduce(into: [LayerDigest: Int64]()) { found, member in
                guard let layer = LayerDigest(member.key), wanted.contains(layer), let bytes = member.value.intValue,
                    bytes > 0
                else { return }
                found[layer] = bytes
            }
        }
        return ImageReception(
            missing: Set(missing.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }),
            encoding: encodings.first { $0 == "zstd" }, kept: kept)
    }

    func nodeDialer(_ node: NodeID, purpose: String) -> NodeDialer {
        var dialer = NodeDialer(control: control, node: node, purpose: purpose, ticket: nil)
        let isLong = purpose == "events" || purpose == "follow"
        dialer.aliases = isLong ? liveAliases(at: node) : .fixed(aliases.table(at: node))
        return dialer
    }

    func hasImage(_ id: String, at node: NodeID) async -> Bool {
        await lookUp(imageNames.id(of: id, at: node), at: node) != nil
    }

    /// What a node says of an image, by its name or its id there.
    private func lookUp(_ reference: String, at node: NodeID) async -> JSON? {
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/images/\(reference)/json"), answer.status == 200
        else { return nil }
        return try? answer.json()
    }

    /// What an engine says of an image that came without a name.
    static func loadedImage(_ said: String) -> LayerDigest? {
        for part in said.split(separator: "Loaded image ID: ").dropFirst() {
            if let id = LayerDigest(String(part.prefix("sha256:".count + 64))) { return id }
        }
        return nil
    }

    private func note(_ image: LocalImage, at node: NodeID, is id: String) {
        do { try imageNames.note(image.id, at: node, is: id) } catch {
            logger.error("the journal did not take an image's name", metadata: ["error": "\(error)"])
        }
    }

    /// Lets the target pull by digest; false where its registry cannot be reached, or gave another image.
    private func pull(_ digest: String, _ shipment: Shipment) async -> Bool {
        var query = Query()
        query.set("fromImage", digest)
        let client = DockerClient(dialer: nodeDialer(shipment.target, purpose: "pull"), maximumIdle: 0)
        guard let answer = try? await client.stream("POST", query.target("/images/create")), answer.status == 200 else {
            return false
        }
        do {
            for try await _ in answer.body { shipment.news.tell() }
        } catch {
            return false
        }
        let (image, node) = (shipment.image, shipment.target)
        if await hasImage(image.id, at: node) { return true }
        // The same layers under another id: its engine calls images otherwise.
        guard let pulled = await lookUp(digest, at: node).flatMap({ LocalImage($0) }), !pulled.diffIDs.isEmpty,
            pulled.diffIDs == image.diffIDs
        else { return false }
        note(image, at: node, is: pulled.id)
        return true
    }
}
