internal import BuildKit
internal import DockerAPI
internal import Engine
internal import NIOCore

/// The session of a build by BuildKit: its client serves files, secrets and passwords to the engine that builds.
@NodeLoop
final class KitSession {
    private let client: HTTP2Peer
    private let head: RequestHead
    private var engine: HTTP2Peer?

    init(_ claimed: HeldSessions.Claimed) {
        client = claimed.client
        head = claimed.head
        client.closed = { [weak self] in self?.engine?.close() }
    }

    /// The Dockerfile, and what of the context it wants ignored.
    func files(_ dockerfile: String) async throws -> [KitFile] {
        try await KitFileReader.read([dockerfile, dockerfile + ".dockerignore"], from: client)
    }

    /// The engine here gets the session as if it had had it from the start.
    func stay(_ dialer: any DockerDialer) async throws {
        try await join(dialer, head, instead: nil)
        engine?.closed = { [client] in client.close() }
    }

    /// Lets an engine use the session.
    /// - Parameter files: what it is given in place of the folder of the Dockerfile; nil for the client's own.
    func join(_ dialer: any DockerDialer, _ head: RequestHead, instead files: [KitFile]?) async throws {
        let client = client
        try await HTTP2Peer.dial(dialer, head, as: .server) { [weak self] peer in
            self?.engine = peer
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
        if client.isClosed { engine?.close() }
    }

    /// The engine needs the session no more.
    func leave() {
        engine?.close()
        engine = nil
    }

    /// The request by which another node's guard is asked for the session.
    func request(_ target: String) throws(HTTPError) -> RequestHead {
        let kept = head.headers.fields.filter { $0.name.lowercased().hasPrefix("x-docker-expose-session-") }
        return try RequestHead.make(
            "POST", target,
            [("Host", "docker"), ("Connection", "Upgrade"), ("Upgrade", "h2c")] + kept.map { ($0.name, $0.value) })
    }
}
