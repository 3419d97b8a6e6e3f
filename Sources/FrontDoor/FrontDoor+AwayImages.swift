internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Images that were pulled where their container runs: they are this device's by name, and only another node has them.
///
/// What reads them is answered without moving them. What needs their layers here brings them home first, and from then on
/// they are images of the engine here.
extension FrontDoor {
    func planImage(_ head: RequestHead, _ reference: String, _ action: String, _ query: Query) -> Plan {
        if action == "push" { return planPush(head, reference, query) }
        guard images.knows(reference) else { return local(head) }
        return .ask { [self] in
            // The engine here comes first: it may have got an image of that name since.
            guard await localImage(reference) == nil, let image = images.find(reference) else { return local(head) }
            switch (head.method, action) {
            case ("GET", "json"):
                return .answer(
                    Answer(DockerResponseBytes.json(image.document, version: greeting.apiVersion.description)))
            case ("GET", "history"):
                return .handle(Job { _, _ in await self.history(head, image) })
            case ("POST", "tag"): return .handle(Job { _, _ in await self.tagAway(head, image, query) })
            case ("DELETE", ""): return .handle(Job { _, _ in self.removeAway(reference, image, query) })
            // What reads it whole: `get`.
            default: return await planAtHome(head, [image])
            }
        }
    }

    /// A push names the repository, and the tag beside it; all of them without one.
    private func planPush(_ head: RequestHead, _ repository: String, _ query: Query) -> Plan {
        guard let wanted = ImageReference(fromImage: repository, tag: query.first("tag")) else { return local(head) }
        let names = images.names.filter {
            $0.familiarName == wanted.familiarName && (wanted.tag == nil || $0.tag == wanted.tag)
        }
        guard !names.isEmpty else { return local(head) }
        return planReading(head, names.map(\.familiar))
    }

    /// `GET /images/get?names=…`
    func planSave(_ head: RequestHead, _ query: Query) -> Plan {
        let wanted = query.all("names").filter(images.knows)
        return wanted.isEmpty ? local(head) : planReading(head, wanted)
    }

    private func planReading(_ head: RequestHead, _ wanted: [String]) -> Plan {
        .ask { [self] in
            var away: [AwayImage] = []
            for name in wanted where await localImage(name) == nil {
                if let image = images.find(name) { away.append(image) }
            }
            return await planAtHome(head, away)
        }
    }

    /// A request that the engine here answers once it has the images.
    private func planAtHome(_ head: RequestHead, _ away: [AwayImage]) async -> Plan {
        do {
            for image in away { try await settle(image) }
            return local(head)
        } catch {
            let message = "lighter: the image is on another node and cannot be brought to this device: \(error)"
            return .answer(
                Answer(DockerFailure(status: 503, message: message).response(version: greeting.apiVersion.description)))
        }
    }

    /// Brings an image home for good: with its names, which the engine here keeps from now on.
    /// - Returns: its id here.
    @discardableResult
    func settle(_ image: AwayImage) async throws -> LayerDigest {
        let id = try await bring(image.id, from: image.node)
        estimates.note(image: "\(id)", at: control.node)
        // A digest is a name that only a pull gives.
        for name in images.names(of: image.id) where name.digest == nil {
            if await localImage(name.familiar) == nil { try await tag(id, name) }
            forget(name)
        }
        return id
    }

    /// Takes down what a pull at a node has brought: by the name that was asked for.
    func notePulled(_ reference: ImageReference, at node: NodeID) async {
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        guard let answer = try? await client.request("GET", "/images/\(reference.familiar)/json"),
            answer.status == 200, let document = try? answer.json(),
            let id = document["Id"]?.stringValue.flatMap({ LayerDigest($0) })
        else { return }
        estimates.note(image: "\(id)", at: node)
        do {
            if await localImage("\(id)") != nil {
                if reference.digest == nil { try await tag(id, reference) }
            } else {
                try images.put(AwayImage(reference: reference, id: id, node: node, document: document))
            }
        } catch {
            logger.error("a pulled image was not taken down", metadata: ["error": "\(error)"])
        }
    }

    /// Its node does not have it any more.
    func forget(_ image: AwayImage) {
        for name in images.names(of: image.id) { forget(name) }
        estimates.note(image: "\(image.id)", at: image.node, present: false)
    }

    private func forget(_ name: ImageReference) {
        do { try images.remove(name) } catch {
            logger.error("the journal did not take a change", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Calls

    private func history(_ head: RequestHead, _ image: AwayImage) async -> Job.Outcome {
        do {
            let client = DockerClient(dialer: nodeDialer(image.node, purpose: "image"), maximumIdle: 0)
            let answer = try await client.request(
                "GET", versioned("/images/\(image.id)/history", head, at: image.node))
            guard answer.status == 200, var layers = try answer.json().arrayValue else {
                return .answer(Answer(answer.bytes))
            }
            // The names are those of the top layer.
            if !layers.isEmpty { layers[0]["Tags"] = image.document["RepoTags"] ?? .null }
            return .answer(Answer(answer.replacing(body: JSON.array(layers).buffer).bytes))
        } catch {
            return failure(503, "lighter: node \(image.node), which has the image, cannot be reached: \(error)")
        }
    }

    private func tagAway(_ head: RequestHead, _ image: AwayImage, _ query: Query) async -> Job.Outcome {
        guard let name = query.first("repo"), let reference = ImageReference(fromImage: name, tag: query.first("tag")),
            reference.digest == nil
        else { return failure(400, "invalid reference format") }
        // A name that an image here has moves, which only the engine can do.
        if let engine, await localImage(reference.familiar) != nil {
            do { try await settle(image) } catch {
                return failure(503, "lighter: the image cannot be brought to this device: \(error)")
            }
            return .forward(Forward(dialer: engine, reuseKey: engine.reuseKey, head: head.raw))
        }
        var named = image
        named.reference = reference.resolved
        do { try images.put(named) } catch { return failure(500, "lighter: \(error)") }
        return .answer(
            Answer(
                DockerResponseBytes.make(
                    status: 201, contentType: nil, body: ByteBuffer(), version: greeting.apiVersion.description)))
    }

    /// Forgets a name, or all by an id. The node keeps the image as any other that it was sent.
    private func removeAway(_ reference: String, _ image: AwayImage, _ query: Query) -> Job.Outcome {
        let names = images.names(of: image.id)
        let named = ImageReference(reference)?.resolved
        let isByName = named.map(names.contains) ?? false
        let going = isByName ? names.filter { $0 == named } : names
        if !isByName, names.count > 1, !query.flag("force") {
            return failure(
                409,
                "conflict: unable to delete \(image.id.short) (must be forced) - image is referenced in multiple repositories"
            )
        }
        if going.count == names.count, !query.flag("force"),
            let user = routes.all.first(where: { $0.imageID == "\(image.id)" })
        {
            let short = user.containerID.prefix(12)
            return failure(
                409,
                isByName
                    ? "conflict: unable to remove repository reference \"\(reference)\" (must force) - container \(short) is using its referenced image \(image.id.short)"
                    : "conflict: unable to delete \(image.id.short) (must be forced) - image is being used by container \(short)"
            )
        }
        for name in going { forget(name) }
        var lines: [JSON] = going.map { ["Untagged": .string($0.familiar)] }
        if going.count == names.count { lines.append(["Deleted": .string("\(image.id)")]) }
        return .answer(Answer(DockerResponseBytes.json(.array(lines), version: greeting.apiVersion.description)))
    }

    // MARK: The list

    /// Engines write names in longer and shorter forms.
    private static func canonicalName(_ tag: JSON) -> String? {
        tag.stringValue.flatMap { ImageReference($0) }?.resolved.canonical
    }

    /// `GET /images/json`: what the engine here lists, and what other nodes have for this device.
    func listImages(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        var list: [JSON] = []
        do {
            var filter = try ImageFilter(query)
            var engineQuery = query
            for key in ImageFilter.anchorKeys {
                guard let reference = filter.anchor(key) else { continue }
                if let here = await inspectImage(reference) {
                    filter.anchors[key] = here["Created"]?.stringValue.flatMap(Timestamp.seconds)
                } else if let away = images.find(reference) {
                    filter.anchors[key] = away.created
                    // The engine here does not know it and would refuse.
                    var filters = try query.filters()
                    filters.remove(key)
                    engineQuery.setFilters(filters)
                }
            }
            var namesHere: Set<String> = []
            if let engineClient {
                let path = head.apiVersion.map { "/v\($0)/images/json" } ?? "/images/json"
                let answer = try await engineClient.request("GET", engineQuery.target(path))
                guard answer.status == 200, let here = try answer.json().arrayValue else {
                    return .answer(Answer(answer.bytes))
                }
                let isWhole = engineQuery.first("filters") == nil && engineQuery.first("filter") == nil
                var all = here
                if !isWhole, !images.images.isEmpty {
                    let answer = try await engineClient.request("GET", path)
                    guard answer.status == 200 else { return .answer(Answer(answer.bytes)) }
                    all = try answer.json().arrayValue ?? []
                }
                namesHere = Set(all.flatMap { $0["RepoTags"]?.arrayValue?.compactMap(Self.canonicalName) ?? [] })
                list = here.filter { image in
                    guard engineQuery != query else { return true }
                    let created = Double(image["Created"]?.intValue ?? 0)
                    return filter.anchors["since"].map { created > $0 } ?? true
                        && filter.anchors["before"].map { created < $0 } ?? true
                }
            }
            let ids = Set(list.compactMap { $0["Id"]?.stringValue })
            for image in images.images where !ids.contains("\(image.id)") && filter.admits(image) {
                let names = filter.names(image).filter { Self.canonicalName($0).map(namesHere.contains) != true }
                guard !names.isEmpty || image.reference.digest != nil else { continue }
                var listed = image.listed
                listed["RepoTags"] = .array(names)
                list.append(listed)
            }
        } catch let error as DockerFailure {
            return .answer(Answer(error.response(version: greeting.apiVersion.description)))
        } catch {
            return failure(503, "lighter: \(error)")
        }
        let sorted = list.enumerated().sorted { one, other in
            let (first, second) = (one.element["Created"]?.intValue ?? 0, other.element["Created"]?.intValue ?? 0)
            return (second, one.offset) < (first, other.offset)
        }
        return .answer(
            Answer(DockerResponseBytes.json(.array(sorted.map(\.element)), version: greeting.apiVersion.description)))
    }
}
