internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Session

/// `GET /lighter/images`: which nodes have which images of this device, and what it would cost to bring one there.
///
/// `[{"Id", "Names", "Size", "Nodes": [{"Node", "Has", "Missing", "Brought", "LastUsed", "Pinned", "Until"}]}]`: sizes in bytes
/// before compression, times in seconds since 1970; null for what a node does not say. `LastUsed` is of what Lighter brought
/// there, and `Until` of a pin that ends. The device itself is the first node of each.
extension FrontDoor {
    /// Seconds for a node to say what it has.
    private static let holdingsPatience = 5

    func imageHoldings() async -> Job.Outcome {
        await answering {
            let held = try await heldImages()
            let nodes = control.snapshot.nodes.filter { $0.id != control.node && $0.acceptsWork }.map(\.id).sorted()
            let chains = Set(held.flatMap { LayerDigest.chain(of: $0.image.diffIDs) })
            let ids = held.compactMap { LayerDigest($0.image.id) } + images.images.map(\.id)
            var missing: [NodeID: Set<LayerDigest>] = [:]
            var said: [NodeID: [LayerDigest: JSON]] = [:]
            await withTaskGroup(of: (NodeID, Set<LayerDigest>?, [LayerDigest: JSON]?).self) { group in
                for node in nodes {
                    group.addTask {
                        async let found = self.missing(of: chains, at: node)
                        return (node, await found, await self.held(ids, at: node))
                    }
                }
                group.addTask { [control] in (control.node, [], await self.held(ids, at: control.node)) }
                for await (node, found, rows) in group {
                    missing[node] = found
                    said[node] = rows
                }
            }
            var rows: [JSON] = []
            for image in held {
                let id = LayerDigest(image.image.id)
                let places = ([control.node] + nodes).map { node in
                    place(image, at: node, missing[node], id.flatMap { said[node]?[$0] })
                }
                rows.append(row("\(image.image.id)", image.names, image.image.size.bytes, places))
            }
            return DockerResponse(json: .array(rows + awayRows(nodes, said)))
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
            held.append(
                Held(
                    image: image, names: names,
                    sizes: LayerBook.layerSizes(
                        history ?? [], layers: image.diffIDs.count, whole: image.size.bytes)))
        }
        return held
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
                    "POST", "/lighter/layers", body: question.buffer,
                    timeout: patience(Self.holdingsPatience, for: node)),
                answer.status == 200, let found = (try? JSON.parse(answer.body))?["Missing"]?.arrayValue
            else { return nil }
            missing.formUnion(found.compactMap { $0.stringValue.flatMap { LayerDigest($0) } })
        }
        return missing
    }

    private func place(_ held: Held, at node: NodeID, _ missing: Set<LayerDigest>?, _ said: JSON?) -> JSON {
        if node == control.node { return place(node, has: true, missing: 0, said) }
        guard let missing else { return place(node, has: false, missing: nil, said) }
        let chain = LayerDigest.chain(of: held.image.diffIDs)
        let bytes = zip(chain, held.sizes).filter { missing.contains($0.0) }.reduce(0) { $0 + $1.1 }
        return place(node, has: said?["Has"]?.boolValue ?? false, missing: bytes, said)
    }

    private func place(_ node: NodeID, has: Bool, missing: Int64?, _ said: JSON?) -> JSON {
        [
            "Node": .string(node.name), "Has": .bool(has), "Missing": missing.map { .int($0) } ?? .null,
            "Brought": .bool(said?["Brought"]?.boolValue ?? false), "LastUsed": said?["LastUsed"] ?? .null,
            "Pinned": .bool(said?["Pinned"]?.boolValue ?? false), "Until": said?["Until"] ?? .null,
        ]
    }

    /// Images that only another node has: whole wherever else they would go.
    private func awayRows(_ nodes: [NodeID], _ said: [NodeID: [LayerDigest: JSON]]) -> [JSON] {
        images.images.map { image in
            let places = ([control.node] + nodes).map { node -> JSON in
                let row = said[node]?[image.id]
                let has = row?["Has"]?.boolValue ?? (node == image.node)
                return place(node, has: has, missing: has ? 0 : image.size.bytes, row)
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
