internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Session

/// `GET /lighter/images`: which nodes have which images of this device, and what it would cost to bring one there.
///
/// `[{"Id", "Names", "Size", "Nodes": [{"Node", "Has", "Missing"}]}]`: sizes in bytes before compression; `Missing` is null
/// where a node does not say. The device itself is the first node of each.
extension FrontDoor {
    /// Seconds for a node to say what it has.
    private static let holdingsPatience = 5

    func imageHoldings() async -> Job.Outcome {
        await answering {
            let held = try await heldImages()
            let nodes = control.snapshot.nodes.filter { $0.id != control.node && $0.acceptsWork }.map(\.id).sorted()
            let chains = Set(held.flatMap { LayerDigest.chain(of: $0.image.diffIDs) })
            var missing: [NodeID: Set<LayerDigest>] = [:]
            await withTaskGroup(of: (NodeID, Set<LayerDigest>?).self) { group in
                for node in nodes { group.addTask { (node, await self.missing(of: chains, at: node)) } }
                for await (node, found) in group { missing[node] = found }
            }
            var rows: [JSON] = []
            for image in held {
                var places: [JSON] = [["Node": .string(control.node.name), "Has": true, "Missing": 0]]
                for node in nodes { places.append(await place(image, at: node, missing[node])) }
                rows.append(row("\(image.image.id)", image.names, image.image.size.bytes, places))
            }
            return DockerResponse(json: .array(rows + awayRows(nodes)))
        }
    }

    private struct Held {
        var image: LocalImage
        var names: [String]
        /// Of each layer, bottom first, as far as the engine tells.
        var sizes: [Int64]
    }

    private func heldImages() async throws -> [Held] {
        guard let engineClient else { return [] }
        var held: [Held] = []
        for listed in try await engineClient.request("GET", "/images/json").checked().json().arrayValue ?? [] {
            guard let id = listed["Id"]?.stringValue, let image = await localImage(id) else { continue }
            let names = (listed["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).filter {
                $0 != "<none>:<none>"
            }
            let history = try? await engineClient.request("GET", "/images/\(id)/history").checked().json().arrayValue
            held.append(Held(image: image, names: names, sizes: Self.layerSizes(history ?? [], image)))
        }
        return held
    }

    /// A history tells sizes, but not which of its steps made a layer: those of some size did. Where that does not fit, the
    /// image's size is shared out evenly.
    nonisolated static func layerSizes(_ history: [JSON], _ image: LocalImage) -> [Int64] {
        let sizes = history.reversed().compactMap { $0["Size"]?.intValue }
        if sizes.count == image.diffIDs.count { return sizes }
        let some = sizes.filter { $0 > 0 }
        if some.count == image.diffIDs.count { return some }
        return image.diffIDs.map { _ in image.size.bytes / Int64(max(1, image.diffIDs.count)) }
    }

    private func missing(of chains: Set<LayerDigest>, at node: NodeID) async -> Set<LayerDigest>? {
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        var missing: Set<LayerDigest> = []
        var rest = Array(chains)[...]
        while !rest.isEmpty {
            let question: JSON = ["ChainIDs": .array(rest.prefix(LayerBook.askLimit).map { .string("\($0)") })]
            rest = rest.dropFirst(LayerBook.askLimit)
            guard
                let answer = try? await client.request(
                    "POST", "/lighter/layers", body: question.buffer, timeout: .seconds(Self.holdingsPatience)),
                answer.status == 200, let found = (try? JSON.parse(answer.body))?["Missing"]?.arrayValue
            else { return nil }
            missing.formUnion(found.compactMap { $0.stringValue.flatMap { LayerDigest($0) } })
        }
        return missing
    }

    private func place(_ held: Held, at node: NodeID, _ missing: Set<LayerDigest>?) async -> JSON {
        guard let missing else { return ["Node": .string(node.name), "Has": false, "Missing": .null] }
        let chain = LayerDigest.chain(of: held.image.diffIDs)
        let bytes = zip(chain, held.sizes).filter { missing.contains($0.0) }.reduce(0) { $0 + $1.1 }
        let has = bytes == 0 ? await hasImage(held.image.id, at: node) : false
        return ["Node": .string(node.name), "Has": .bool(has), "Missing": .int(bytes)]
    }

    /// Images that only another node has: whole wherever else they would go.
    private func awayRows(_ nodes: [NodeID]) -> [JSON] {
        images.images.map { image in
            let places = ([control.node] + nodes).map { node -> JSON in
                let has = node == image.node
                return ["Node": .string(node.name), "Has": .bool(has), "Missing": .int(has ? 0 : image.size.bytes)]
            }
            return row("\(image.id)", images.names(of: image.id).map(\.familiar), image.size.bytes, places)
        }
    }

    private func row(_ id: String, _ names: [String], _ size: Int64, _ places: [JSON]) -> JSON {
        [
            "Id": .string(id), "Names": .array(names.map { .string($0) }), "Size": .int(size), "Nodes": .array(places),
        ]
    }
}
