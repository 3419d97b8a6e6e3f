internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// What other nodes keep of this device's images, and what they have given up.
extension FrontDoor {
    /// Seconds for which a node keeps an image that was sent there ahead of need.
    private static let preloadPin: Int64 = 86_400
    /// Seconds for a node to say what it has.
    private static let patience = 5

    /// `POST /lighter/pin` with `{"Image": REFERENCE, "Node": NAME, "Pinned": BOOL}`; the node null for each that has it.
    ///
    /// A node that is named and lacks the image is sent it first. Answered with
    /// `{"Id", "Nodes": [{"Node", "Brought"}]}`: what Lighter did not bring to a node is its owner's, and stays anyway.
    func pinImage(_ body: ByteBuffer) async -> Job.Outcome {
        await answering {
            guard let asked = try? JSON.parse(body), let name = asked["Image"]?.stringValue,
                let isPinned = asked["Pinned"]?.boolValue
            else { throw DockerFailure(status: 400, message: "lighter: the body must have Image and Pinned") }
            guard let id = await imageID(name).flatMap({ LayerDigest($0) }) else {
                throw DockerFailure.noSuchImage(name)
            }
            let nodes: [NodeID]
            if let wanted = asked["Node"]?.stringValue {
                nodes = [try await prepared(id, at: wanted, sending: isPinned)]
            } else {
                nodes = await holders(of: id)
                guard !nodes.isEmpty else {
                    throw DockerFailure(
                        status: 404, message: "lighter: no other node has \(name); name one to send it there")
                }
            }
            var rows: [JSON] = []
            for node in nodes {
                let order: JSON = [
                    "Image": .string("\(imageNames.id(of: id, at: node))"), "For": isPinned ? .null : 0,
                ]
                let answer = try await askImages("/lighter/pin", order, at: node)
                rows.append(["Node": .string(node.name), "Brought": answer["Brought"] ?? false])
            }
            return DockerResponse(json: ["Id": .string("\(id)"), "Nodes": .array(rows)])
        }
    }

    /// The node of that name, once it has the image.
    private func prepared(_ id: LayerDigest, at name: String, sending: Bool) async throws -> NodeID {
        guard let node = control.snapshot.nodes.first(where: { $0.id.name == name })?.id ?? ownName(name) else {
            throw DockerFailure(status: 404, message: "lighter: the fleet has no node '\(name)'")
        }
        guard sending, node != control.node else { return node }
        if await localImage("\(id)") == nil, let away = images.find("\(id)"), away.node != node {
            try await settle(away)
        }
        guard let image = await localImage("\(id)") else { return node }
        try await ship(image, to: node).wait()
        estimates.note(image: image.id, at: node)
        return node
    }

    private func ownName(_ name: String) -> NodeID? { control.node.name == name ? control.node : nil }

    private func holders(of id: LayerDigest) async -> [NodeID] {
        var found: [NodeID] = []
        for node in control.snapshot.nodes.map(\.id).sorted() {
            guard let row = await held([id], at: node)?[id], row["Has"]?.boolValue == true else { continue }
            // What the device has of its own nobody gives up.
            if node != control.node || row["Brought"]?.boolValue == true { found.append(node) }
        }
        return found
    }

    /// Keeps what was sent ahead of need, so that it is not the first to be given up; a node that does not is none the worse.
    func pinPreloaded(_ image: LocalImage, at node: NodeID) async {
        let order: JSON = ["Image": .string(imageNames.id(of: image.id, at: node)), "For": .int(Self.preloadPin)]
        do { _ = try await askImages("/lighter/pin", order, at: node) } catch {
            logger.info(
                "an image that was sent ahead is not pinned",
                metadata: ["image": "\(image.id)", "node": "\(node)", "reason": "\(error)"])
        }
    }

    /// What a node says of images; nil where it does not.
    func held(_ ids: [LayerDigest], at node: NodeID) async -> [LayerDigest: JSON]? {
        var said: [LayerDigest: JSON] = [:]
        var rest = ids[...]
        while !rest.isEmpty {
            let asked = rest.prefix(LayerBook.askLimit).map { imageNames.id(of: $0, at: node) }
            rest = rest.dropFirst(LayerBook.askLimit)
            let question: JSON = ["Images": .array(asked.map { .string("\($0)") })]
            guard let rows = try? await askImages("/lighter/held", question, at: node).arrayValue else { return nil }
            for row in rows {
                if let id = row["Id"]?.stringValue.flatMap({ LayerDigest($0) }) { said[id] = row }
            }
        }
        return ids.reduce(into: [:]) { $0[$1] = said[imageNames.id(of: $1, at: node)] }
    }

    /// Asks the agent of a node, or of this device.
    private func askImages(_ path: String, _ body: JSON, at node: NodeID) async throws -> JSON {
        if node == control.node {
            guard let imagesHere else {
                throw DockerFailure(status: 501, message: "lighter: this device keeps no images for others")
            }
            return try await imagesHere(path, body)
        }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        let answer = try await client.request(
            "POST", path, body: body.buffer, timeout: patience(Self.patience, for: node))
        guard answer.status == 200 else {
            throw DockerFailure(status: answer.status, message: Self.message(of: answer))
        }
        return try answer.json()
    }

    // MARK: The books

    /// Forgets what other nodes have given up: no create waits for that, as it ships again where it finds nothing. The longer there
    /// is nothing new, the more seldom it asks: a device at rest is quiet.
    func followHoldings() async {
        var pause = Self.reviews.lowerBound
        while !Task.isCancelled {
            do { try await Task.sleep(for: pause) } catch { return }
            pause = await reviewHoldings() ? Self.reviews.lowerBound : min(Self.reviews.upperBound, pause * 2)
        }
    }

    private static let reviews = Duration.seconds(60)...Duration.seconds(1800)

    /// - Returns: whether anything is otherwise than when they were reviewed last.
    func reviewHoldings() async -> Bool {
        var reviewed: [NodeID: Set<LayerDigest>] = [:]
        defer { self.reviewed = reviewed }
        for node in control.snapshot.nodes.map(\.id) where node != control.node {
            let away = images.images.filter { $0.node == node }
            let known = Set(estimates.images(at: node).compactMap { LayerDigest($0) }).union(away.map(\.id))
            guard !known.isEmpty, control.existingLink(to: node) != nil,
                let found = await held(known.sorted { $0.hex < $1.hex }, at: node)
            else { continue }
            reviewed[node] = known
            for id in known where found[id]?["Has"]?.boolValue == false {
                reviewed[node]?.remove(id)
                estimates.note(image: "\(id)", at: node, present: false)
                try? imageNames.forget("\(id)", at: node)
                for image in away where image.id == id {
                    logger.notice(
                        "a node has given up an image that only it had: pull it again where it is needed",
                        metadata: ["image": "\(image.reference.familiar)", "node": "\(node)"])
                    forget(image)
                }
            }
        }
        return reviewed != self.reviewed
    }
}
