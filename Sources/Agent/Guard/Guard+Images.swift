import Compression
import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Trust

/// Images that leave this node again, for the device whose they are.
extension Guard {
    /// An answer that the guard makes piece by piece.
    struct Produced: Sendable {
        var headers: [(String, String)]
        var contentType: String
        /// Each `write` returns when the caller's stream has taken the piece. What it throws cuts the answer short.
        var body: @Sendable @NodeLoop (_ write: @NodeLoop (ByteBuffer) async throws -> Void) async throws -> Void
    }

    /// `{"Image": "sha256:…", "Missing": […]}`, the chain ids that the caller lacks, is answered with the image's archive
    /// without the other layers, compressed. With `Kept`, sizes by diff id, it is marked for a guard that has so much of each.
    ///
    /// Images of one tenant's nodes are told apart, so that a node that was broken into does not read what others had built.
    func sparseImage(_ body: ByteBuffer, _ scope: CallScope) async throws(DockerFailure) -> Produced {
        let asked = try parsed(body)
        let list = asked["Missing"]?.arrayValue?.map { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        let missing = list.compactMap(\.self)
        let kept = asked["Kept"].map { Self.sizes($0) }
        guard asked.objectValue?.members.count == (kept == nil ? 2 : 3), kept != .some(nil),
            let id = asked["Image"]?.stringValue.flatMap({ LayerDigest($0) }),
            asked["Missing"]?.arrayValue != nil, missing.count == list.count, missing.count <= LayerBook.askLimit
        else {
            throw DockerFailure(
                status: 400,
                message:
                    "lighter: the body must be Image, its id, Missing, at most \(LayerBook.askLimit) digests, and maybe Kept, and nothing else"
            )
        }
        await noting?.value
        guard rights.has(id, scope.origin), let image = try await inventory.client.ask("/images/\(id)/json") else {
            throw .noSuchImage("\(id)")
        }
        let layers = image["RootFS"]?["Layers"]?.arrayValue ?? []
        let diffIDs = layers.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        let source = try await archive(of: id)
        return Produced(headers: [("Content-Encoding", "zstd")], contentType: "application/x-tar") { write in
            // Without all of its digests nothing can be left out.
            let known = diffIDs.count == layers.count ? diffIDs : []
            var archive = SparseArchive(diffIDs: known, missing: Set(missing), kept: kept ?? nil)
            let compressor = try ZstdCompressor()
            for try await chunk in source.body { try await write(compressor.compress(archive.pass(chunk))) }
            try archive.finish()
            try await write(compressor.finish())
        }
    }

    func archive(of id: LayerDigest) async throws(DockerFailure) -> DockerStream {
        do throws(EngineError) {
            let source = try await inventory.client.stream("GET", "/images/\(id)/get")
            guard source.status == 200 else { try await source.collect().checked(); return source }
            return source
        } catch {
            throw error.failure
        }
    }

    /// Reads an image of the caller's own, or removes one that it made here, as long as nothing else has a use for it.
    func ownImage(
        _ head: RequestHead, _ admitted: Admitted, _ reference: String, _ action: String, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        guard let id = LayerDigest(reference), let source = rights.source(of: id, admitted.scope.origin) else {
            throw .noSuchImage(reference)
        }
        if action.isEmpty {
            guard source == .made else {
                throw DockerFailure(
                    status: 403, message: "lighter: \(id) was not made by node \(admitted.scope.origin) here")
            }
            // Never by force: a name or a container shows that somebody uses it; an only name would go with it.
            let names = try await inventory.client.ask("/images/\(id)/json")?["RepoTags"]?.arrayValue ?? []
            guard names.isEmpty else {
                throw DockerFailure(status: 409, message: "lighter: \(id) has a name on node \(configuration.node)")
            }
            return Passage(
                head: try Passage.head(head, version: admitted.apiVersion, path: "/images/\(id)", query: Query()))
        }
        return Passage(
            head: try Passage.head(head, version: admitted.apiVersion, path: "/images/\(id)/\(action)", query: query))
    }

    /// Makes an image of the caller's container: without a name, as names at this node are everybody's.
    ///
    /// An image keeps its container's labels. Those that say whose it is here are emptied, so that they say nothing of
    /// containers that are made from it.
    func commit(
        _ head: RequestHead, _ admitted: Admitted, _ ref: String, _ query: Query, _ body: ByteBuffer
    ) async throws(DockerFailure) -> Passage {
        let (ticket, record) = try await ownContainer(ref, admitted)
        var passed = Query()
        passed.set("container", record.id)
        for name in ["comment", "author", "pause"] {
            if let value = query.first(name) { passed.set(name, value) }
        }
        for change in query.all("changes") { passed.append("changes", change) }
        var config = body.readableBytes == 0 ? .null : try parsed(body)
        guard config.isNull || config.objectValue != nil else {
            throw DockerFailure(status: 400, message: "lighter: the body must be a container's configuration")
        }
        config.update(named: "Labels") { labels in
            for label in WorkloadLabels.all { labels[label] = "" }
        }
        var passage = try checked(head, admitted, "/commit", passed, config)
        let before = await imagesBefore()
        passage.answered = { [weak self] json in
            if let id = json["Id"]?.stringValue.flatMap(LayerDigest.init(imageID:)) {
                self?.rights.grant(id, to: ticket.origin, .made)
                self?.noteBrought(id, before: before)
            }
        }
        return passage
    }

    /// What an engine says last of an image that came without a name: `Loaded image ID: sha256:…`, or Podman's `Loaded image: `.
    func noteLoaded(_ last: JSON, by origin: NodeID, before: EngineImages?) {
        guard let said = last["stream"]?.stringValue else { return }
        for line in said.split(separator: "\n") {
            guard let mark = ["Loaded image ID: ", "Loaded image: "].first(where: line.hasPrefix) else { continue }
            guard let id = LayerDigest(String(line.dropFirst(mark.count))) else { continue }
            rights.grant(id, to: origin, .brought)
            noteBrought(id, before: before)
        }
    }

    /// What a pull has brought belongs to whom it was pulled for, once the engine has said that it is there: Docker with a
    /// line about the whole, Podman with the image's own id.
    func notePulled(_ last: JSON, _ query: Query, by origin: NodeID, before: EngineImages?) {
        let status = last["status"]?.stringValue ?? ""
        let short = status == "Download complete" ? last["id"]?.stringValue ?? "" : ""
        guard status.hasPrefix("Status: ") || short.utf8.count == 12, let name = query.first("fromImage"),
            let reference = ImageReference(fromImage: name, tag: query.first("tag"))?.resolved
        else { return }
        noteImage(
            reference.familiar, by: origin, .brought, before: before, name: reference.digest == nil, ifItIs: short)
    }

    /// Grants the image that a reference means at this moment.
    /// - Parameters:
    ///   - name: whether the reference is a name that the image has got.
    ///   - short: the beginning of the id that it has to be of; empty for any.
    func noteImage(
        _ reference: String, by origin: NodeID, _ source: ImageRights.Source, before images: EngineImages?,
        name: Bool = false, ifItIs short: String = ""
    ) {
        afterEarlierNotes { [self] in
            let image = try? await inventory.client.ask("/images/\(reference)/json")
            guard let id = image?["Id"]?.stringValue.flatMap(LayerDigest.init(imageID:)),
                short.isEmpty || id.short == short
            else { return }
            rights.grant(id, to: origin, source)
            noteBrought(id, name: name ? reference : nil, before: images)
        }
    }

    /// Finds out rights once those before are known; who asks for an image waits for it.
    func afterEarlierNotes(_ find: @escaping @Sendable @NodeLoop () async -> Void) {
        let earlier = noting
        // Unstructured: the answer that it follows does not wait for it. Ends with the engine's answer.
        noting = Task { @NodeLoop in
            await earlier?.value
            await find()
        }
    }
}
