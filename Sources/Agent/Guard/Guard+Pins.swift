package import DockerAPI
import Engine
import Fleet
import Images

/// What nodes ask of the images that Lighter brought here: what there is of them, and to keep some.
extension Guard {
    /// For this node's own front door: its owner may see and pin all.
    package func imagesHere(_ path: String, _ body: JSON) async throws(DockerFailure) -> JSON {
        path == "/lighter/pin"
            ? try await pin(body, by: configuration.node) : try await held(body, by: configuration.node)
    }

    /// `{"Images": ["sha256:…"]}` is answered with `[{"Id", "Has", "Brought", "Size", "LastUsed", "Pinned", "Until"}]`.
    func held(_ asked: JSON, by node: NodeID) async throws(DockerFailure) -> JSON {
        let list = asked["Images"]?.arrayValue ?? []
        let ids = list.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        guard asked.objectValue?.members.count == 1, (1...LayerBook.askLimit).contains(list.count),
            ids.count == list.count
        else {
            throw DockerFailure(
                status: 400,
                message: "lighter: the body must be Images, 1 to \(LayerBook.askLimit) ids, and nothing else")
        }
        await noting?.value
        let there = Dictionary(try await listedImages().map { ($0.id, $0) }) { first, _ in first }
        return .array(
            ids.map { id in
                guard let image = there[id], mayAsk(of: id, node) else {
                    return ["Id": .string("\(id)"), "Has": false]
                }
                let entry = cache[id]
                let until = entry?.pinned(at: now())
                return [
                    "Id": .string("\(id)"), "Has": true, "Brought": .bool(entry != nil), "Size": .int(image.size),
                    "LastUsed": entry.map { .int(Int64($0.usedAt)) } ?? .null, "Pinned": .bool(until != nil),
                    "Until": until.flatMap { $0.isFinite ? .int(Int64($0)) : nil } ?? .null,
                ]
            })
    }

    /// `{"Image": "sha256:…", "For": SECONDS}`: keeps it for so long; null for good, 0 to keep it no more.
    ///
    /// Answered with `{"Brought": false}` for an image of the owner's, which is never given up anyway.
    func pin(_ asked: JSON, by node: NodeID) async throws(DockerFailure) -> JSON {
        guard asked.objectValue?.members.count == 2, let id = asked["Image"]?.stringValue.flatMap({ LayerDigest($0) }),
            let time = asked["For"], time.isNull || time.intValue.map({ $0 >= 0 }) ?? false
        else {
            throw DockerFailure(
                status: 400,
                message: "lighter: the body must be Image, its id, and For, seconds or null, and nothing else")
        }
        await noting?.value
        guard mayAsk(of: id, node), try await inventory.client.ask("/images/\(id)/json") != nil else {
            throw .noSuchImage("\(id)")
        }
        guard cache[id] != nil else { return ["Brought": false] }
        if time.intValue == 0 {
            cache.unpin(id, by: node)
        } else {
            if node != configuration.node { try await checkPins(with: id) }
            cache.pin(id, by: node, until: time.intValue.map { now() + Double($0) } ?? .infinity)
        }
        return ["Brought": true]
    }

    private func mayAsk(of image: LayerDigest, _ node: NodeID) -> Bool {
        node == configuration.node || cache[image] == nil || rights.has(image, node)
    }

    /// Others may pin half of what is kept for them: the rest goes on being given up for what comes.
    private func checkPins(with image: LayerDigest) async throws(DockerFailure) {
        let root = inventory.engine?.dataRoot ?? ""
        guard let bound = configuration.imageCache.bytes(dataRoot: root) else { return }
        let plan = try await imagePlan()
        let pinned = plan.images.filter { $0.id == image || cache[$0.id]?.pinned(at: now()) != nil }
        let bytes = plan.bytes(of: pinned)
        guard bytes <= bound / 2 else {
            throw DockerFailure(
                status: 409,
                message: "lighter: node \(configuration.node) keeps \(ByteCount(bound / 2)) of pinned images at most, "
                    + "and this would make \(ByteCount(bytes)); unpin another")
        }
    }
}
