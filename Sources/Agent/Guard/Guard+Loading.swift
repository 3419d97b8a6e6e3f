import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Trust

/// Images that come to this node: what is missing of them, loads, pulls, and what is kept of a load that was cut.
extension Guard {
    /// `{"ChainIDs": […]}` is answered with `{"Missing": […]}`, in the same order, and how a load may be compressed; with
    /// `Kept`, where layers are kept: by diff id, how many bytes of each are here of a load of the caller's that was cut.
    ///
    /// - Parameter holds: whether what is here has to stay until the rest has come.
    func missingLayers(
        _ body: ByteBuffer, holds: Bool, _ scope: CallScope
    ) async throws(DockerFailure) -> JSON {
        let asked = try parsed(body)
        let chainIDs = asked["ChainIDs"]?.arrayValue?.map { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        let known = chainIDs.compactMap(\.self)
        guard asked.objectValue?.members.count == 1, (1...LayerBook.askLimit).contains(chainIDs.count),
            known.count == chainIDs.count
        else {
            throw DockerFailure(
                status: 400,
                message: "lighter: the body must be ChainIDs, 1 to \(LayerBook.askLimit) digests, and nothing else")
        }
        let missing: Set<LayerDigest>
        do throws(EngineError) {
            missing = try await layers.missing(of: known)
            if holds { try await hold(known.filter { !missing.contains($0) }) }
        } catch {
            throw error.failureOfEngine
        }
        var answer: JSON = [
            "Missing": .array(known.filter(missing.contains).map { .string("\($0)") }), "Encodings": ["zstd"],
        ]
        if let store = layerStore(of: scope) {
            let kept = store.kept().sorted { $0.key.hex < $1.key.hex }
            answer["Kept"] = .object(JSONObject(kept.map { .init(key: "\($0)", value: .int($1)) }))
        }
        return answer
    }

    /// Of those images that have the layers, as few as will do: each has all that are below one of its own.
    private func hold(_ present: [LayerDigest]) async throws(EngineError) {
        var open = Set(present)
        for layer in present.reversed() where open.contains(layer) {
            for image in cache.entries.sorted(by: { $0.value.usedAt > $1.value.usedAt }).map(\.key) {
                let chain = try await layers.chain(of: "\(image)")
                guard chain.contains(layer) else { continue }
                open.subtract(chain)
                cache.hold(image, until: now() + configuration.imageCacheKeep)
                break
            }
        }
    }

    func imageInspect(
        _ head: RequestHead, _ admitted: Admitted, _ ref: String, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        try await checkUse(of: ref, by: admitted.scope)
        // Whoever is told that it is here will not send it.
        for image in cached(ref) { cache.hold(image, until: now() + configuration.imageCacheKeep) }
        return Passage(
            head: try Passage.head(head, version: admitted.apiVersion, path: "/images/\(ref)/json", query: query))
    }

    func pull(
        _ head: RequestHead, _ admitted: Admitted, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        let before = await imagesBefore()
        var passage = Passage(
            head: try Passage.head(head, version: admitted.apiVersion, path: "/images/create", query: query))
        passage.answered = { [weak self] in
            self?.notePulled($0, query, by: admitted.scope.origin, before: before)
        }
        let name = ImageReference(fromImage: query.first("fromImage") ?? "", tag: query.first("tag"))
        track(&passage, "pull \(name?.resolved.familiar ?? "")")
        return passage
    }

    func imageLoad(
        _ head: RequestHead, _ admitted: Admitted, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        if case .length(let length) = head.framing, diskShortage(ByteCount(Int64(clamping: length))) > 0 {
            await tidyImages(incoming: ByteCount(Int64(clamping: length)))
        } else if diskShortage() > 0 {
            await tidyImages()
        }
        var passage = try loading(head, admitted, query)
        let before = await imagesBefore()
        passage.answered = { [weak self] in self?.noteLoaded($0, by: admitted.scope.origin, before: before) }
        track(&passage, "load")
        return passage
    }

    /// Takes the engine's events of it for Lighter's own, as long as it is under way.
    private func track(_ passage: inout Passage, _ work: String) {
        ownWork.begin(work)
        passage.ended = { [weak self] in
            guard let self else { return }
            ownWork.end(work, at: now())
        }
    }

    private func loading(_ head: RequestHead, _ admitted: Admitted, _ query: Query) throws(DockerFailure) -> Passage {
        let bound = configuration.policy.maximumImage
        if case .length(let length) = head.framing {
            guard length <= bound.bytes else {
                throw DockerFailure(
                    status: 413, message: "lighter: node \(configuration.node) takes images of at most \(bound)")
            }
            try checkHeadroom(incoming: ByteCount(Int64(length)))
        } else {
            try checkHeadroom()
        }
        guard head.headers.all("Content-Encoding") == ["zstd"] else {
            let passed = try Passage.head(
                head, version: admitted.apiVersion, path: "/images/load", query: query, keepsBody: true)
            return Passage(head: passed, body: .streamed(limit: bound.bytes))
        }
        let marks = "X-Lighter-Layers"
        guard head.headers.first(marks) == "marked", let store = layerStore(of: admitted.scope) else {
            return try decompressed(head, admitted, path: "/images/load", query, without: [marks])
        }
        let restorer: LayerRestorer
        do throws(ImageError) { restorer = try LayerRestorer(shelf: store) } catch {
            throw DockerFailure(status: 500, message: "lighter: \(error)")
        }
        var passage = try decompressed(
            head, admitted, path: "/images/load", query, without: [marks], decoder: restorer)
        // What the engine has had whole serves nobody any more; what was cut short is what is kept for.
        passage.concluded = { if restorer.isComplete { store.discard() } }
        return passage
    }

    func layerStore(of scope: CallScope) -> LayerStore? {
        guard let folder = configuration.layers else { return nil }
        let kept = 2 * configuration.headroom.disk.bytes
        return LayerStore(folder: folder, origin: scope.origin) { [self] in
            NodeLoop.assumeIsolated { freeNow().disk.map { $0.bytes > kept } ?? true }
        }
    }

    /// Not every engine knows zstd, and none knows how much it may make of it.
    func decompressed(
        _ head: RequestHead, _ admitted: Admitted, path: String, _ query: Query, without: [String] = [],
        decoder: (any StreamDecoder)? = nil
    ) throws(DockerFailure) -> Passage {
        let passed = try Passage.head(head, version: admitted.apiVersion, path: path, query: query, keepsBody: true)
        do {
            let dropped = ["Content-Encoding", "Content-Length", "Trailer"] + without
            let plain = try dropped.reduce(passed) { try $0.removing($1) }
            return Passage(
                head: try plain.withHeader("Transfer-Encoding", "chunked"),
                body: .decompressed(try decoder ?? PlainDecoder(), limit: configuration.policy.maximumImage.bytes))
        } catch {
            throw DockerFailure(status: 500, message: "lighter: \(error)")
        }
    }
}
