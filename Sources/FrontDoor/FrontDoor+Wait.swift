internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// `POST /containers/ID/wait` for a container elsewhere.
extension FrontDoor {
    /// Answers when the container has ended: asks again where a link breaks, for as long as the client listens.
    ///
    /// The head of the answer says nothing yet, but the client will not go on without it: for a container that nobody has
    /// started, it is sent as soon as the question is on its way.
    func wait(_ head: RequestHead, _ route: Route, _ query: Query, _ client: ClientWriter) async -> Job.Outcome {
        let waiter = Waiter(door: self, head: head, route: route, query: query, client: client)
        return await withTaskGroup(of: Job.Outcome?.self) { group in
            group.addTask { await waiter.run() }
            group.addTask {
                for await _ in client.gone {}
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? .streamed
        }
    }
}

extension FrontDoor {
    /// Waits at the engine here for a container to be removed, by its id as `docker run --rm` does.
    func waitHere(_ head: RequestHead, _ id: String, _ client: ClientWriter) async -> Job.Outcome {
        await withTaskGroup(of: Job.Outcome?.self) { group in
            group.addTask { await self.waitHere(head, id, answering: client) }
            group.addTask {
                for await _ in client.gone {}
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? .streamed
        }
    }

    private func waitHere(_ head: RequestHead, _ id: String, answering client: ClientWriter) async -> Job.Outcome {
        guard let engineClient else { return failure(501, "lighter: this device has no engine of its own for that") }
        var hasBegun = false
        do {
            let answer = try await engineClient.stream("POST", head.target)
            guard answer.status == 200 else { return .answer(Answer(try await answer.collect().bytes)) }
            hasBegun = true
            client.begin(greeting.chunked())
            let body = try await answer.collect().body
            client.finish(with: WaitAnswer.correct(body, exitCode: await exitCodesHere.code(of: id)))
        } catch {
            guard hasBegun else { return failure(503, "lighter: \(error)") }
            client.finish(with: Waiter.ended(125, error: "lighter: \(error)"))
        }
        return .streamed
    }
}

/// One client that waits for one container.
@NodeLoop
private final class Waiter {
    private static let conditions: Set<String?> = ["next-exit", "removed", "not-running", nil]

    private let door: FrontDoor
    private let head: RequestHead
    private let route: Route
    private var query: Query
    private let client: ClientWriter
    /// Whether the answer's head may be sent before the node has given it.
    private let isEarly: Bool
    private var hasBegun = false
    private var wasKilled = false

    init(door: FrontDoor, head: RequestHead, route: Route, query: Query, client: ClientWriter) {
        self.door = door
        self.head = head
        self.route = route
        self.query = query
        self.client = client
        isEarly = door.fresh.contains(route.containerID) && Self.conditions.contains(query.first("condition"))
    }

    func run() async -> Job.Outcome {
        var delay = ReconnectDelay(longest: .seconds(4))
        while true {
            do {
                return try await askUntilMoved()
            } catch {
                if hasBegun, door.routes[route.containerID] == nil, let code = door.exitCodes[route.containerID] {
                    return end(Self.ended(code, error: nil))
                }
                // Nobody waits yet: whether to go on is the client's to say.
                guard hasBegun, !Task.isCancelled else { return door.unreachable(route, error) }
                door.logger.debug("a wait goes on", metadata: ["node": "\(route.target)", "error": "\(error)"])
            }
            do { try await Task.sleep(for: delay.next()) } catch { return .streamed }
            await look()
        }
    }

    /// A node that is lost does not answer, and its link may stand for a while.
    private func askUntilMoved() async throws -> Job.Outcome {
        guard route.loss.isExclusive, let asked = door.routes[route.containerID] else { return try await ask() }
        return try await withThrowingTaskGroup(of: Job.Outcome.self) { group in
            group.addTask { try await self.ask() }
            group.addTask {
                while await !self.isOver(asked) { try await Task.sleep(for: .milliseconds(100)) }
                throw FrontDoorError(.unreachable, "node \(asked.target) is lost")
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    private func ask() async throws -> Job.Outcome {
        let current = door.routes[route.containerID] ?? route
        guard !door.moving.contains(route.containerID) else {
            throw FrontDoorError(.unreachable, "node \(current.target) is lost")
        }
        let node = DockerClient(dialer: door.dialer(to: current, purpose: "wait"), maximumIdle: 0)
        let path = door.versioned(query.target("/containers/\(route.containerID)/wait"), head, at: current.target)
        let answer = try await node.stream("POST", path, sent: { if self.isEarly { self.begin() } })
        guard answer.status == 200 else {
            let refusal = try await answer.collect()
            // An engine that is away has ended nothing: Podman's containers outlive its service, Docker's may outlive dockerd.
            if hasBegun, refusal.headers.first("X-Lighter-Refused") == "engine" {
                throw FrontDoorError(.unreachable, FrontDoor.message(of: refusal))
            }
            return refused(refusal)
        }
        begin()
        let body = try await answer.collect().body
        let code = (try? JSON.parse(body))?["StatusCode"]?.intValue
        guard !isOver(current) else { throw FrontDoorError(.unreachable, "the container is elsewhere since") }
        // Its node may have stopped it because its lease ran out: then it runs again, there or elsewhere, and a wait that begins
        // now is held until it does.
        if current.loss.isExclusive, code == 137, !wasKilled {
            wasKilled = true
            query.set("condition", "not-running")
            return try await ask()
        }
        door.hearEnd(of: current)
        await door.containerEnded(door.routes[route.containerID] ?? route, exitCode: code)
        return end(body)
    }

    /// Whether what a node says of the container is none of its users' concern any more: it has another, or will have one.
    private func isOver(_ asked: Route) -> Bool {
        if door.moving.contains(asked.containerID) { return true }
        return door.routes[asked.containerID].map { $0.epoch != asked.epoch } ?? false
    }

    private func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        client.begin(door.greeting.chunked())
    }

    private func end(_ body: ByteBuffer) -> Job.Outcome {
        client.finish(with: body)
        return .streamed
    }

    private func refused(_ answer: DockerResponse) -> Job.Outcome {
        if answer.status == 404 { door.start { [door, route] in await door.verify(route) } }
        guard hasBegun else { return .answer(Answer(answer.bytes)) }
        if answer.status == 404, let code = door.exitCodes[route.containerID] {
            return end(Self.ended(code, error: nil))
        }
        return end(
            Self.ended(
                125, error: "lighter: node \(route.target) answered \(answer.status): \(FrontDoor.message(of: answer))")
        )
    }

    /// What was waited for may have happened while nobody listened: a container that has started need not start again.
    private func look() async {
        guard query.first("condition") == "next-exit" else { return }
        let current = door.routes[route.containerID] ?? route
        let node = DockerClient(dialer: door.dialer(to: current, purpose: "inspect"), maximumIdle: 0)
        guard let answer = try? await node.request("GET", "/containers/\(route.containerID)/json"),
            answer.status == 200,
            let status = (try? JSON.parse(answer.body))?["State"]?["Status"]?.stringValue, status != "created"
        else { return }
        query.set("condition", "not-running")
    }

    /// Docker's answer to a wait; with its own field for one that failed.
    static func ended(_ code: Int64, error: String?) -> ByteBuffer {
        let json: JSON = ["Error": error.map { ["Message": .string($0)] } ?? .null, "StatusCode": .int(code)]
        return ByteBuffer(string: json.text + "\n")
    }
}
