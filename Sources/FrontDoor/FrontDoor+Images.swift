internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Placement
internal import Session

/// Getting a missing image to the node where its container shall run.
extension FrontDoor {
    func localImage(_ name: String) async -> LocalImage? {
        await inspectImage(name).flatMap { LocalImage($0) }
    }

    /// An image of this device's engine; while that is away, as it was known last.
    /// - Throws: 503 where nobody can say what the name means.
    func knownImage(_ name: String) async throws(DockerFailure) -> LocalImage? {
        guard let engineClient, let reference = Self.pathSegment(name) else { return nil }
        do throws(EngineError) {
            let answer = try await engineClient.request("GET", "/images/\(reference)/json")
            guard answer.status == 200, let image = LocalImage(try answer.json()) else {
                knownImages.forget(name)
                return nil
            }
            knownImages[name] = image
            return image
        } catch {
            if let image = knownImages[name] { return image }
            if images.knows(name) { return nil }
            throw DockerFailure(
                status: 503, message: "lighter: what image \(name) is cannot be told: \(error.message)")
        }
    }

    /// The local engine's view of an image, or nil when it has none (or no answer).
    func inspectImage(_ name: String) async -> JSON? {
        guard let engineClient, let reference = Self.pathSegment(name) else { return nil }
        guard let answer = try? await engineClient.request("GET", "/images/\(reference)/json"), answer.status == 200
        else { return nil }
        return try? JSON.parse(answer.body)
    }

    /// The digest that a name of this device means, whoever has the image; nil for none.
    func imageID(_ name: String) async -> String? {
        if let image = await localImage(name) { return image.id }
        return images.find(name).map { "\($0.id)" }
    }

    /// A name that may stand in a path as it is.
    private static func pathSegment(_ name: String) -> String? {
        let allowed = name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                || [0x2d, 0x2e, 0x2f, 0x3a, 0x40, 0x5f].contains($0)
        }
        return allowed && !name.isEmpty ? name : nil
    }

    /// The target lacks the image. A small one is shipped within the create; otherwise the client is told, as an engine
    /// would, so that it pulls and sees the progress: the pull then follows the shipment.
    func provide(_ creation: Creation, _ lease: PendingLease, missing: DockerResponse) async -> Attempt {
        if let pull = pulls.first(where: { $0.workload == lease.workload }) {
            await pull.news.wait(patience: leadPatience)
            if let found = await tryAgain(creation, lease) { return found }
        }
        var creation = creation
        var near: AwayImage?
        if creation.image == nil, let away = creation.awayImage {
            if away.node != lease.target, isNeighbour(away.node, of: lease.target) {
                near = away
            } else {
                if away.node == lease.target { forget(away) } else { creation.image = await broughtHome(away) }
                creation.awayImage = nil
            }
        }
        guard let image = creation.image ?? near.flatMap({ LocalImage($0.document) }) else {
            leases.put(lease)
            return .done(failure(404, Self.missingWords(creation, missing)))
        }
        estimates.note(image: image.id, at: lease.target, present: false)
        let shipment = ship(image, to: lease.target, away: near)
        var lease = lease
        lease.shipment = shipment
        // A client pulls once. Of two that pulled the same for two nodes at once, each may have been shown the other's.
        let wantsProgress =
            creation.replaces == nil && !lease.wasPulled
            && creation.head.headers.first("User-Agent")?.hasPrefix("Docker-Client/") ?? false
        if wantsProgress, image.size > configuration.quietImageLimit {
            leases.put(lease)
            let shown = ImageReference(creation.spec.image)?.familiar ?? creation.spec.image
            return .done(failure(404, "No such image: \(shown)"))
        }
        do {
            try await shipment.wait()
        } catch {
            guard near != nil else { return .unreachable("its image could not be shipped: \(error)") }
            // The client's own pull is another way.
            leases.put(lease)
            return .done(failure(404, Self.missingWords(creation, missing)))
        }
        do {
            return try await conclude(sendCreate(creation, lease), creation, lease)
        } catch {
            return .unreachable("\(error)")
        }
    }

    /// The create once more, after a pull at its node; nil where the image is still missing.
    private func tryAgain(_ creation: Creation, _ lease: PendingLease) async -> Attempt? {
        do {
            let answer = try await sendCreate(creation, lease)
            if answer.status == 404, Self.isMissingImage(answer) { return nil }
            return try await conclude(answer, creation, lease)
        } catch {
            return .unreachable("\(error)")
        }
    }

    /// An image that its node still has, as one of this device's engine.
    private func broughtHome(_ away: AwayImage) async -> LocalImage? {
        do {
            return await localImage("\(try await settle(away))")
        } catch {
            logger.notice(
                "an image cannot be brought home; its client is asked to pull it",
                metadata: ["image": "\(away.id)", "node": "\(away.node)", "reason": "\(error)"])
            return nil
        }
    }

    /// An engine's own words name the image as it was asked of it, which need not be how its user did.
    private static func missingWords(_ creation: Creation, _ missing: DockerResponse) -> String {
        guard let reference = ImageReference(creation.spec.image) else { return message(of: missing) }
        return "No such image: \(reference.familiar)"
    }

    // MARK: The client's own pull

    func planImageCreate(_ head: RequestHead, _ query: Query) -> Plan {
        guard let name = query.first("fromImage"),
            let reference = ImageReference(fromImage: name, tag: query.first("tag")),
            let lease = leases.takePull(of: reference.resolved, at: now())
        else { return local(head) }
        return .handle(Job { _, client in await self.pullAway(head, query, lease, client) })
    }

    /// A pull that belongs to a lease: what gets the image there is shown as a pull.
    private func pullAway(
        _ head: RequestHead, _ query: Query, _ lease: PendingLease, _ client: ClientWriter
    ) async -> Job.Outcome {
        if let image = await localImage(lease.image) {
            // The one that its create began, also where it has ended since: another would find every layer there.
            let begun = lease.shipment.flatMap { $0.image.id == image.id && !$0.hasFailed ? $0 : nil }
            client.begin(greeting.chunked())
            do {
                try await show(begun ?? ship(image, to: lease.target), of: lease, client)
            } catch {
                leases.pullEnded(lease.workload, at: now(), succeeded: false)
                try? await client.write(Self.progressError("\(error)"))
            }
            client.end()
            return .streamed
        }
        var hasBegun = await waitForPull(lease, client)
        if let shipment = awayShipment(lease, afterPull: hasBegun) {
            if !hasBegun { client.begin(greeting.chunked()) }
            hasBegun = true
            do {
                try await show(shipment, of: lease, client)
                client.end()
                return .streamed
            } catch {
                logger.notice(
                    "an image that only another node has is pulled again",
                    metadata: ["image": "\(lease.image)", "node": "\(lease.target)", "reason": "\(error)"])
            }
        }
        let target = DockerClient(dialer: nodeDialer(lease.target, purpose: "pull"), maximumIdle: 0)
        let headers = head.headers.first("X-Registry-Auth").map { [("X-Registry-Auth", $0)] } ?? []
        let path = versioned(query.target("/images/create"), head, at: lease.target)
        if let answer = try? await target.stream("POST", path, headers: headers), answer.status == 200 {
            if !hasBegun { client.begin(greeting.chunked()) }
            let pull = AwayPull(lease)
            pulls.append(pull)
            defer {
                pulls.removeAll { $0 === pull }
                pull.news.end()
            }
            do {
                var last = ByteBuffer()
                for try await chunk in answer.body {
                    last = chunk
                    pull.news.tell()
                    try await client.write(chunk)
                }
                // Before the client is told that it has ended: its next question may be about the image.
                let isThere = !String(buffer: last).contains("\"errorDetail\"")
                if isThere, let reference = lease.reference { await notePulled(reference, at: lease.target) }
                leases.pullEnded(lease.workload, at: now(), succeeded: isThere)
            } catch {
                leases.pullEnded(lease.workload, at: now(), succeeded: false)
                try? await client.write(Self.progressError("the pull at \(lease.target) broke off: \(error)"))
            }
            client.end()
            return .streamed
        }
        if hasBegun {
            leases.pullEnded(lease.workload, at: now(), succeeded: false)
            try? await client.write(Self.progressError("node \(lease.target) cannot pull \(lease.image)"))
            client.end()
            return .streamed
        }
        // The registry cannot be reached from there: perhaps from here; then it is shipped at the second create.
        guard let plan = engine else { return failure(404, "No such image: \(lease.image)") }
        return .forward(Forward(dialer: plan, reuseKey: "engine", head: head.raw))
    }

    /// Waits for a pull of the same name at a node from which the lease's can have the layers then.
    /// - Returns: whether the client's answer has begun, because there is one.
    private func waitForPull(_ lease: PendingLease, _ client: ClientWriter) async -> Bool {
        guard let reference = lease.reference,
            let pull = pulls.first(where: {
                $0.reference == reference && $0.node != lease.target && isNeighbour($0.node, of: lease.target)
            })
        else { return false }
        client.begin(greeting.chunked())
        try? await client.write(Self.progress("Waiting for \(pull.node), which pulls it just now"))
        await pull.news.wait(patience: leadPatience)
        return true
    }

    /// What brings an image that only another node has: what the lease's create has begun, or what a pull has made possible.
    private func awayShipment(_ lease: PendingLease, afterPull: Bool) -> Shipment? {
        if let begun = lease.shipment { return begun.hasFailed ? nil : begun }
        guard afterPull, let away = lease.reference.flatMap({ images.find($0.familiar) }), away.node != lease.target,
            isNeighbour(away.node, of: lease.target), let image = LocalImage(away.document)
        else { return nil }
        return ship(image, to: lease.target, away: away)
    }

    /// Shows a shipment as a pull, to its end.
    private func show(_ shipment: Shipment, of lease: PendingLease, _ client: ClientWriter) async throws {
        let tag = lease.reference?.pullParameters.tag ?? "latest"
        let name = lease.reference?.familiarName ?? lease.image
        try await client.write(Self.progress("Pulling from \(name)", id: tag))
        var shown = Shown()
        for await _ in shipment.changes() { try await show(shipment, &shown, client) }
        try await shipment.wait()
        try await show(shipment, &shown, client)
        try await client.write(Self.progress("Digest: \(shipment.image.id)"))
        try await client.write(Self.progress("Status: Downloaded newer image for \(name):\(tag)"))
        leases.pullEnded(lease.workload, at: now(), succeeded: true)
    }

    /// What a client has been told of a shipment.
    private struct Shown {
        var layers: [LayerDigest: Shipment.Layer] = [:]
        var remarks = 0
    }

    /// One line for each layer of which there is news.
    private func show(
        _ shipment: Shipment, _ shown: inout Shown, _ client: ClientWriter
    ) async throws {
        while shown.remarks < shipment.remarks.count {
            shown.remarks += 1
            try await client.write(Self.progress(shipment.remarks[shown.remarks - 1]))
        }
        for layer in shipment.image.diffIDs {
            guard let state = shipment.layers[layer], shown.layers[layer] != state else { continue }
            shown.layers[layer] = state
            try await client.write(Self.progress(state, id: layer.short))
        }
    }

    private static func progress(_ layer: Shipment.Layer, id: String) -> ByteBuffer {
        switch layer {
        case .waiting: progress("Pulling fs layer", id: id)
        case .present: progress("Already exists", id: id)
        case .moving(let sent, let size): progress("Downloading", id: id, current: sent, total: size)
        case .fetched: progress("Download complete", id: id)
        case .arrived: progress("Pull complete", id: id)
        }
    }

    private static func progress(_ status: String, id: String? = nil) -> ByteBuffer {
        var line: JSON = ["status": .string(status)]
        if let id { line["id"] = .string(id) }
        return ByteBuffer(string: line.text + "\r\n")
    }

    private static func progress(_ status: String, id: String, current: Int64, total: Int64) -> ByteBuffer {
        let line: JSON = [
            "status": .string(status), "progressDetail": ["current": .int(current), "total": .int(total)],
            "progress": .string("[\(ByteCount(current)) of \(ByteCount(total))]"), "id": .string(id),
        ]
        return ByteBuffer(string: line.text + "\r\n")
    }

    private static func progressError(_ message: String) -> ByteBuffer {
        let line: JSON = [
            "errorDetail": ["message": .string("lighter: \(message)")], "error": .string("lighter: \(message)"),
        ]
        return ByteBuffer(string: line.text + "\r\n")
    }
}
