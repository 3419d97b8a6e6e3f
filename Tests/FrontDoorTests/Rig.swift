import DockerAPI
import Engine
import Fleet
import LighterTesting
import Logging
import NIOCore

@testable import FrontDoor

/// A front door on a socket of its own, with a control plane that the test plays.
final class Rig: Sendable {
    static let cloud = "a1b2c3d4".repeated(8)

    let folder: ScratchFolder
    let plane: FakePlane
    let routes: RouteBook
    let door: FrontDoor
    var socket: String { folder.file("front.sock") }
    var enginePath: String { folder.file("engine.sock") }

    private init(_ folder: ScratchFolder, _ plane: FakePlane, _ routes: RouteBook, _ door: FrontDoor) {
        self.door = door
        self.folder = folder
        self.plane = plane
        self.routes = routes
    }

    /// Runs `body` while the front door serves.
    /// - Parameters:
    ///   - journal: a file of its own by default.
    ///   - mounts: how much of them may leave the device; none by default.
    @NodeLoop
    static func with(
        engine: Bool = true, journal: String? = nil, preload: Int = 0, mounts: ByteCount? = nil,
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let folder = try ScratchFolder()
        let plane = FakePlane(node: try NodeID("edge1"))
        let routes = try RouteBook(journal: Journal(path: journal ?? folder.file("journal.db")))
        var configuration = FrontDoorConfiguration(
            socketPath: folder.file("front.sock"), enginePath: engine ? folder.file("engine.sock") : nil,
            version: "test",
            spool: folder.file("spool"))
        configuration.preloadNodes = preload
        configuration.mounts = mounts.map { .init(folder: folder.file("mounts"), maximumBytes: $0) }
        let door = try FrontDoor(
            configuration: configuration, control: plane, routes: routes,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            describeNode: { Node(id: plane.node, capacity: Resources(cpus: 2, memory: .gibibytes(4))) },
            localWorkload: { _, _ in })
        let rig = Rig(folder, plane, routes, door)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await door.run() }
            group.addTask {
                // The socket is there as soon as the listener is.
                while true {
                    if let probe = try? await Peer.connect(to: rig.socket) {
                        await probe.close()
                        break
                    }
                    await Task.yield()
                }
                try await body(rig)
            }
            // The first to end is the body, or the door because it could not start.
            try await group.next()
            group.cancelAll()
        }
    }

    func client() async throws -> Peer { try await Peer.connect(to: socket) }

    /// Sends one request on a connection of its own; the answer's head and body as they came.
    func ask(_ request: String) async throws -> (head: String, body: String) {
        let client = try await client()
        try await client.send(request)
        let head = try await client.receiveHead()
        let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.dropFirst("content-length:".count).filter { $0 != " " }) }
        let body: String
        if let length {
            body = String(buffer: try await client.receive(count: length))
        } else if head.lowercased().contains("chunked") {
            body = try await client.receive(to: "0\r\n\r\n")
        } else {
            body = ""
        }
        await client.close()
        return (head, body)
    }

    func get(_ target: String) async throws -> (head: String, body: String) {
        try await ask("GET \(target) HTTP/1.1\r\nHost: d\r\n\r\n")
    }

    func post(
        _ target: String, _ body: String = "", headers: String = ""
    ) async throws -> (head: String, body: String) {
        try await ask(
            "POST \(target) HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
    }

    /// A node of the fleet, with a link to it and a route for `id` named `name` if one is given.
    func addNode(
        _ name: String = "cloud1", enginePath: String, route: String? = nil, mirror: String? = nil
    ) async throws -> FakeNode {
        let node = try await FakeNode(path: folder.file("\(name).link"), enginePath: enginePath, mirror: mirror)
        let id = try NodeID(name)
        plane.put(node.link, to: id)
        var snapshot = plane.snapshot
        snapshot.nodes.append(
            Node(id: id, engineAPIVersion: "1.41", capacity: Resources(cpus: 8, memory: .gibibytes(8))))
        plane.snapshot = snapshot
        if let route { try await addRoute(Rig.cloud, route, at: name) }
        return node
    }

    @NodeLoop
    func addRoute(_ id: String, _ name: String, at node: String = "cloud1") throws {
        try routes.put(
            Route(
                containerID: id, name: name, workload: .random(), epoch: 1, target: try NodeID(node),
                ticket: Array("ticket".utf8), ticketRenewal: 4e9, image: "busybox", imageID: "sha256:1",
                hasTerminal: false, removesItself: false, createdAt: 1))
    }
}

extension Rig {
    /// What the journal knows of other nodes' names for images: those here, and those there.
    @NodeLoop
    func imageNames() throws -> [[String]] { try routes.journal.imageNames().map { [$0.here, $0.there] } }
}

extension Rig {
    /// Publishes a port of the container behind `addNode`'s route.
    @NodeLoop
    func publish(_ port: PublishedPort) throws {
        guard var route = routes[Self.cloud] else { return }
        route.ports = [port]
        try routes.put(route)
    }
}

extension Rig {
    /// The JSON documents of a chunked answer, each a line of its own.
    static func documents(_ chunked: String) -> [JSON] {
        chunked.utf8.split(separator: UInt8(ascii: "\n")).filter { $0.first == UInt8(ascii: "{") }
            .compactMap { try? JSON.parse(Array($0)) }
    }
}

extension String {
    func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}

extension Rig {
    /// Makes every later write of the journal fail, as a full disk does.
    func spoilJournal() async throws {
        let other = try Database(path: folder.file("journal.db"))
        try other.run("CREATE TRIGGER full BEFORE INSERT ON route BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    }
}
