internal import DockerAPI
package import Engine
package import Fleet
internal import Images
internal import Link
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Layers that a node gets from a neighbour rather than over this device's link, or from a registry once more.
extension FrontDoor {
    /// Less than so much is sent faster than it is asked about.
    private static let least: Int64 = 1 << 20
    /// Nodes that are asked for layers of one image.
    private static let sourceLimit = 3
    /// Seconds for a node to say what it has.
    private static let patience = 5
    /// How often a node may say that there is nothing new.
    private static let idleLines = 12
    /// Bytes a second below which a neighbour is no help, where it is not known what this device's link carries.
    private static let leastPace = 256.0 * 1024

    /// Dials the guard of another node, for this node's own guard.
    package nonisolated func guardDialer(to node: NodeID) -> any DockerDialer {
        NodeDialer(control: control, node: node, purpose: "layers", ticket: nil)
    }

    /// Nodes that are better placed than this device to give another what it lacks, best first.
    private func neighbours(of target: NodeID) -> [Neighbourhood.Source] {
        // Of this node too as the gateway knows it: by itself it does not measure its link.
        let snapshot = control.snapshot
        guard let node = snapshot[target] else { return [] }
        let device = snapshot[control.node] ?? describeNode()
        let link = control.existingLink(to: target)
        let around = Neighbourhood(
            of: node, device: device, rate: link?.throughput ?? 0,
            roundTrip: link?.rtt.map { $0 / .seconds(1) } ?? 0)
        return around.sources(among: snapshot.nodes.filter { $0.id != control.node })
    }

    /// Whether a node is better placed than this device to give another what it has.
    func isNeighbour(_ node: NodeID, of target: NodeID) -> Bool {
        neighbours(of: target).contains { $0.node == node }
    }

    /// Those that may have some of an image: who is known to have it before who may have others with the same layers.
    private func sources(of shipment: Shipment) -> [Neighbourhood.Source] {
        let all = neighbours(of: shipment.target)
        var holders = estimates.holders(of: shipment.image.id)
        if let away = shipment.away { holders.insert(away.node) }
        let known = all.filter { holders.contains($0.node) }
        let others = all.filter { !holders.contains($0.node) && control.existingLink(to: $0.node) != nil }
        return Array((known + others).prefix(Self.sourceLimit))
    }

    /// Has the target get from neighbours what it lacks of an image. Where one of them is about to have it, that is waited for.
    ///
    /// - Returns: whether no more than little is still to come from elsewhere; false also where nothing has come of it, for
    ///   whatever reason: then everything is as if there were no neighbours, but for what has come.
    func gather(_ shipment: Shipment) async -> Bool {
        guard !shipment.chainIDs.isEmpty else { return false }
        for lead in shipment.takeLeads() where isNeighbour(lead.target, of: shipment.target) {
            shipment.remark("Waiting for \(lead.target), which gets it just now")
            await lead.news.wait(patience: leadPatience)
        }
        let sources = sources(of: shipment)
        guard !sources.isEmpty else { return false }
        await shipment.waitForSharedLayers()
        guard let here = await layersAt(shipment.target, of: shipment), here.encoding != nil, here.kept != nil else {
            return false
        }
        let sizes = await layerSizes(of: shipment)
        var open = shipments.takesWholeOnly.contains(shipment.target) ? Set(shipment.chainIDs) : here.missing
        func bytes() -> Int64 { open.reduce(0) { $0 + (sizes[$1] ?? 0) } }
        // What is there but for little is sent as ever; of what only another node has, nothing is little to bring home.
        guard bytes() >= Self.least || shipment.away != nil else { return false }
        shipment.begin(missing: open)
        var offers = await self.offers(open, of: shipment, by: sources.map(\.node))
        for source in sources where bytes() >= Self.least {
            guard var offer = offers.removeValue(forKey: source.node) else { continue }
            if !offer.layers.isSubset(of: open) {
                // Of what another has given meanwhile it shall give nothing.
                guard let less = await self.offer(open, of: shipment, by: source.node) else { continue }
                offer = less
            }
            shipment.remark("Layers come from \(source.node): \(source.reason)")
            let diffIDs = zip(shipment.image.diffIDs, shipment.chainIDs).filter { offer.layers.contains($1) }.map(\.0)
            let got = await fetch(Set(diffIDs), offer.word, of: shipment, from: source)
            for (layer, chain) in zip(shipment.image.diffIDs, shipment.chainIDs) where got.contains(layer) {
                open.remove(chain)
            }
        }
        return bytes() < Self.least
    }

    /// What each layer takes, by chain id, as far as it is known.
    private func layerSizes(of shipment: Shipment) async -> [LayerDigest: Int64] {
        let whole = shipment.image.size.bytes
        if shipment.away == nil, let sizes = try? await layers?.layerSizes(of: shipment.image.id, whole: whole) {
            return sizes
        }
        let even = LayerBook.layerSizes([], layers: shipment.chainIDs.count, whole: whole)
        return Dictionary(zip(shipment.chainIDs, even)) { max($0, $1) }
    }

    private struct Offer: Sendable {
        /// Chain ids.
        var layers: Set<LayerDigest>
        var word: String
    }

    /// What these nodes promise; all are asked at once.
    private func offers(
        _ layers: Set<LayerDigest>, of shipment: Shipment, by nodes: [NodeID]
    ) async -> [NodeID: Offer] {
        await withTaskGroup(of: (NodeID, Offer?).self) { group in
            for node in nodes { group.addTask { (node, await self.offer(layers, of: shipment, by: node)) } }
            var found: [NodeID: Offer] = [:]
            for await (node, offer) in group { found[node] = offer }
            return found
        }
    }

    /// What a node promises to give the target of these layers; nil where that is nothing.
    private func offer(
        _ layers: Set<LayerDigest>, of shipment: Shipment, by node: NodeID
    ) async -> Offer? {
        let wanted = shipment.chainIDs.filter(layers.contains)
        let question: JSON = [
            "ChainIDs": .array(wanted.map { .string("\($0)") }), "To": .string(shipment.target.name),
        ]
        let client = DockerClient(dialer: nodeDialer(node, purpose: "layers"), maximumIdle: 0)
        do {
            let answer = try await client.request(
                "POST", "/lighter/offer", body: question.buffer, timeout: patience(Self.patience, for: node)
            ).checked().json()
            let offered = answer["Layers"]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
            guard let word = answer["Word"]?.stringValue, !layers.isDisjoint(with: offered) else { return nil }
            return Offer(layers: layers.intersection(offered), word: word)
        } catch {
            logger.info("a node offers no layers", metadata: ["node": "\(node)", "reason": "\(error)"])
            return nil
        }
    }

    /// - Returns: layers, by diff id, that need not come from elsewhere or are too small for that.
    private func fetch(
        _ layers: Set<LayerDigest>, _ word: String, of shipment: Shipment, from source: Neighbourhood.Source
    ) async -> Set<LayerDigest> {
        let carried = max(
            control.existingLink(to: shipment.target)?.throughput ?? 0,
            control.snapshot[control.node]?.measures.bandwidth ?? 0)
        let pace = Int64(max(Self.leastPace, min(carried / 2, 1e9)))
        let order: JSON = [
            "From": .string(source.node.name), "Word": .string(word), "Pace": .int(pace),
            "Layers": .array(layers.sorted { $0.hex < $1.hex }.map { .string("\($0)") }),
        ]
        do {
            let client = DockerClient(dialer: nodeDialer(shipment.target, purpose: "layers"), maximumIdle: 0)
            let last = try await whileHeard(within: fetchPatience) { ear in
                let stream = try await client.stream("POST", "/lighter/fetch", body: .bytes(order.buffer))
                guard stream.status == 200 else {
                    let answer = try await stream.collect(limit: 64 << 10)
                    throw FrontDoorError(.unreachable, Self.message(of: answer))
                }
                var idle = 0
                for try await line in Lines(stream.body) {
                    let told = try JSON.parse(line)
                    if told["Arrived"] != nil { return told }
                    idle = told["Layer"] == nil ? idle + 1 : 0
                    guard idle <= Self.idleLines else { continue }
                    ear.hear()
                    shipment.news.tell()
                    guard let layer = told["Layer"]?.stringValue.flatMap({ LayerDigest($0) }), layers.contains(layer),
                        let got = told["Got"]?.intValue, let size = told["Size"]?.intValue
                    else { continue }
                    shipment.fetching(layer, got: got, size: size)
                }
                throw FrontDoorError(.unreachable, "node \(shipment.target) did not say what has come")
            }
            func told(_ key: String) -> Set<LayerDigest> {
                Set(last[key]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? [])
                    .intersection(layers)
            }
            let arrived = told("Arrived")
            shipment.fetched(arrived, from: source.node)
            var metadata: Logger.Metadata = [
                "image": "\(shipment.image.id)", "node": "\(shipment.target)", "from": "\(source.node)",
                "layers": "\(arrived.count) of \(layers.count)", "bytes": "\(last["Bytes"]?.intValue ?? 0)",
                "why": "\(source.reason)",
            ]
            if let error = last["Error"]?.stringValue { metadata["failure"] = "\(error.prefix(300))" }
            logger.info("layers came from a neighbour", metadata: metadata)
            return arrived.union(told("Passed"))
        } catch {
            logger.notice(
                "layers did not come from a neighbour",
                metadata: [
                    "image": "\(shipment.image.id)", "node": "\(shipment.target)", "from": "\(source.node)",
                    "reason": "\(error)",
                ])
            return []
        }
    }

    /// Passes on what the target still lacks of an image that this device does not have, as its node gives it out: the
    /// manifest, the configuration and what is small.
    /// - Returns: whether the target has the image.
    func relay(_ away: AwayImage, _ shipment: Shipment) async -> Bool {
        do {
            guard let here = await layersAt(shipment.target, of: shipment), here.encoding == "zstd",
                let kept = here.kept
            else { return false }
            let isWhole = shipments.takesWholeOnly.contains(shipment.target)
            let missing = isWhole ? shipment.chainIDs : shipment.chainIDs.filter(here.missing.contains)
            let question: JSON = [
                "Image": .string(shipment.image.id), "Missing": .array(missing.map { .string("\($0)") }),
                "Kept": .object(JSONObject(kept.map { .init(key: "\($0)", value: .int($1)) })),
            ]
            let client = DockerClient(dialer: nodeDialer(away.node, purpose: "image"), maximumIdle: 0)
            let source = try await client.stream("POST", "/lighter/image", body: .bytes(question.buffer))
            guard source.status == 200, source.headers.first("Content-Encoding") == "zstd" else {
                let answer = try await source.collect(limit: 64 << 10)
                throw FrontDoorError(
                    .unreachable, "node \(away.node) does not give it out: \(Self.message(of: answer))")
            }
            shipment.begin(missing: Set(missing))
            let body = RequestBody.producing { write in
                for try await chunk in source.body {
                    try await write(chunk)
                    await shipment.advance(by: chunk.readableBytes, moving: nil, arrived: [], spared: 0)
                }
            }
            let (answer, said) = try await load(body, encoding: "zstd", isMarked: true, at: shipment.target)
            guard answer.status == 200, !said.contains("\"errorDetail\"") else {
                throw FrontDoorError(.unreachable, "node \(shipment.target) did not take the image: \(said)")
            }
            return await hasImage(shipment.image.id, at: shipment.target)
        } catch {
            logger.notice(
                "an image does not come from the node that has it",
                metadata: [
                    "image": "\(shipment.image.id)", "from": "\(away.node)", "node": "\(shipment.target)",
                    "reason": "\(error)",
                ])
            return false
        }
    }
}
