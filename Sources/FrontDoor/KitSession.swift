internal import BuildKit
internal import DockerAPI
internal import Engine
internal import Images
internal import NIOCore

/// The session of a build by BuildKit: its client serves files, secrets and passwords to the engine that builds.
@NodeLoop
final class KitSession {
    private let client: HTTP2Peer
    private let head: RequestHead
    private var engines: [HTTP2Peer] = []
    private var staying: Task<Void, any Error>?
    /// Told when its client has ended it.
    var ended: (@NodeLoop () -> Void)?

    /// - Parameter head: of the request by which the client opened it.
    init(_ client: HTTP2Peer, _ head: RequestHead) {
        self.client = client
        self.head = head
        client.closed = { [weak self] in
            guard let self else { return }
            for engine in engines { engine.close() }
            engines = []
            ended?()
        }
    }

    func close() { client.close() }

    /// The Dockerfile, and what of the context it wants ignored.
    func files(_ dockerfile: String) async throws -> [KitFile] {
        try await KitFileReader.read([dockerfile, dockerfile + ".dockerignore"], from: client)
    }

    /// The engine here gets the session as if it had had it from the start; once, whoever asks for it.
    func stay(_ dialer: any DockerDialer) async throws {
        // Unstructured: several builds may wait for it. The engine's answer ends it.
        let joining =
            staying
            ?? Task { @NodeLoop [self] in
                let engine = try await join(dialer, head, instead: nil)
                engine.closed = { [client] in client.close() }
            }
        staying = joining
        try await joining.value
    }

    /// Lets an engine use the session, until `leave`.
    /// - Parameters:
    ///   - files: what it is given in place of the folder of the Dockerfile; nil for the client's own.
    ///   - offer: to pack the session on its way.
    func join(
        _ dialer: any DockerDialer, _ head: RequestHead, instead files: [KitFile]?, offer: PackingOffer? = nil
    ) async throws -> HTTP2Peer {
        var joined: HTTP2Peer?
        let client = client
        try await HTTP2Peer.dial(dialer, head, as: .server, offer: offer) { peer in
            joined = peer
            peer.accept = { [weak peer] id, fields in
                guard let peer else { return nil }
                if let files, fields.first(":path") == KitFileService.path,
                    fields.first("dir-name") == KitFileService.folder
                {
                    let server = KitFileServer(peer, id, files)
                    server.begin()
                    return server
                }
                return HTTP2Relay.join(id, of: peer, to: client, fields)
            }
        }
        guard let joined, !client.isClosed else {
            joined?.close()
            throw FrontDoorError(.unreachable, "the client's session ended")
        }
        engines.append(joined)
        return joined
    }

    /// An engine needs the session no more.
    func leave(_ engine: HTTP2Peer) {
        engines.removeAll { $0 === engine }
        engine.close()
    }

    /// What its client calls the folder that it serves; nil where it has no name for it.
    var sharedKey: String? { head.headers.first("X-Docker-Expose-Session-Sharedkey") }

    /// The request by which another node's guard is asked for the session.
    func request(_ target: String, _ offer: PackingOffer?) throws(HTTPError) -> RequestHead {
        var kept = head.headers.fields.filter { $0.name.lowercased().hasPrefix("x-docker-expose-session-") }
            .map { ($0.name, $0.value) }
        if let offer {
            kept.append((PackedStream.header, offer.text))
            if offer.isExpected {
                let (numbers, others) = SessionMethods.shortened(head.headers.all(SessionMethods.field))
                kept.removeAll { $0.0.lowercased() == SessionMethods.field.lowercased() }
                kept += others.map { (SessionMethods.field, $0) }
                if let numbers { kept.append((SessionMethods.header, numbers)) }
            }
        }
        return try RequestHead.make(
            "POST", target,
            [("Host", "docker"), ("Connection", "Upgrade"), ("Upgrade", "h2c")] + kept)
    }
}
