internal import Compression
internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images
internal import Logging
internal import NIOCore
internal import Session

/// From another node's engine to this device's: only the layers that are missing here.
extension FrontDoor {
    /// The most that one image's archive may hold, uncompressed: what a node may make of this device's disk.
    private nonisolated static let archiveLimit: Int64 = 16 << 30

    /// Makes an image that a node has one of this device's engine, without a name; does nothing where it is one.
    ///
    /// - Parameter id: what it is called there.
    /// - Returns: what it is called here.
    /// - Throws: what was in the way; the engine here then has none of it.
    func bring(_ id: LayerDigest, from node: NodeID) async throws -> LayerDigest {
        try await homecomings.share(id) {
            start { [self] in
                do {
                    homecomings.arrived(id, .success(try await fetch(id, from: node)))
                } catch {
                    homecomings.arrived(id, .failure(error))
                }
            }
        }
    }

    private func fetch(_ id: LayerDigest, from node: NodeID) async throws -> LayerDigest {
        guard let layers else { throw FrontDoorError(.unreachable, "this device has no engine of its own") }
        for known in [imageNames.here(of: "\(id)", at: node).flatMap { LayerDigest($0) }, id] {
            if let known, await localImage("\(known)") != nil { return known }
        }
        let client = DockerClient(dialer: nodeDialer(node, purpose: "image"), maximumIdle: 0)
        let answer = try await client.request("GET", "/images/\(id)/json")
        guard answer.status == 200, let image = LocalImage(try answer.json()) else {
            throw FrontDoorError(.unreachable, "node \(node) does not have \(id): \(Self.message(of: answer))")
        }
        let chainIDs = LayerDigest.chain(of: image.diffIDs)
        var missing = chainIDs.isEmpty ? [] : try await layers.missing(of: chainIDs)
        let isWhole = homecomings.takesWholeOnly || missing.count == Set(chainIDs).count
        if isWhole { missing = Set(chainIDs) }
        var bytes = try await load(id, missing, client, node)
        if case .refused(let reason) = bytes, !isWhole {
            let after = try await layers.missing(of: chainIDs)
            logger.notice(
                "an image comes whole: the engine here did not take a part of it",
                metadata: ["image": "\(id)", "node": "\(node)", "reason": "\(reason)"])
            bytes = try await load(id, Set(chainIDs), client, node)
            if case .taken = bytes, after == missing { homecomings.takesWholeOnly = true }
        }
        switch bytes {
        case .refused(let reason): throw FrontDoorError(.unreachable, "the engine here did not take it: \(reason)")
        case .taken(let count, let loaded):
            // It holds that image and no other, whatever the engine here calls it.
            let here = loaded ?? id
            guard let image = await localImage("\(here)") else {
                throw FrontDoorError(.unreachable, "node \(node) sent another image than \(id)")
            }
            try imageNames.note(image.id, at: node, is: "\(id)")
            logger.info(
                "image brought home",
                metadata: [
                    "image": "\(id)", "node": "\(node)", "bytes": "\(count)",
                    "layers": "\(missing.count) of \(chainIDs.count)",
                ])
            return here
        }
    }

    private enum Loading {
        case taken(bytes: Int64, LayerDigest?)
        case refused(String)
    }

    /// Moves one archive, no faster than the engine here takes it.
    private func load(
        _ id: LayerDigest, _ missing: Set<LayerDigest>, _ client: DockerClient, _ node: NodeID
    ) async throws -> Loading {
        guard let engineClient else { throw FrontDoorError(.unreachable, "this device has no engine of its own") }
        let question: JSON = [
            "Image": .string("\(id)"), "Missing": .array(missing.map { .string("\($0)") }),
        ]
        let source = try await client.stream("POST", "/lighter/image", body: .bytes(question.buffer))
        guard source.status == 200, source.headers.first("Content-Encoding") == "zstd" else {
            throw FrontDoorError(
                .unreachable, "node \(node) does not give it out: \(Self.message(of: try await source.collect()))")
        }
        let received = Received()
        let body = RequestBody.producing { write in
            var archive = UnnamedArchive(id: id)
            let decompressor = try ZstdDecompressor()
            var left = Self.archiveLimit
            for try await chunk in source.body {
                await received.add(chunk.readableBytes)
                decompressor.add(chunk)
                while let piece = try decompressor.next() {
                    left -= Int64(piece.readableBytes)
                    guard left >= 0 else { throw FrontDoorError(.unreachable, "it is over \(Self.archiveLimit) bytes") }
                    try await write(archive.pass(piece))
                }
            }
            try archive.finish()
        }
        let answer = try await engineClient.stream("POST", "/images/load?quiet=1", headers: Self.tar, body: body)
            .collect()
        let said = String(buffer: answer.body)
        guard answer.status == 200, !said.contains("\"errorDetail\"") else { return .refused(said) }
        return .taken(bytes: received.bytes, Self.loadedImage(said))
    }

    private static let tar = [("Content-Type", "application/x-tar")]

    /// Gives an image that is here a name, as `docker tag` does.
    func tag(_ id: LayerDigest, _ reference: ImageReference) async throws {
        guard let engineClient else { return }
        var query = Query()
        query.set("repo", reference.familiarName)
        query.set("tag", reference.tag ?? "latest")
        try await engineClient.request("POST", query.target("/images/\(id)/tag")).checked()
    }
}

/// What came over the link.
@NodeLoop
private final class Received {
    private(set) var bytes: Int64 = 0
    nonisolated init() {}
    func add(_ count: Int) { bytes += Int64(count) }
}
