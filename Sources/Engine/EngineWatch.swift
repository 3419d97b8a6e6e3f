package import DockerAPI
import Glibc
package import Logging
import NIOCore

/// Keeps one event stream to an engine, for as long as it runs.
///
/// After a cut it asks for the events since the last one that it saw, so that none is missed and none comes twice, and lists
/// all containers again for what an engine that restarted has forgotten to tell.
@NodeLoop
package final class EngineWatch {
    /// What a watch tells; all on the loop, in order.
    package struct Handlers: Sendable {
        /// The engine is about to be asked for its list: what becomes known from now on may be missing there.
        package var listing: @NodeLoop @Sendable () -> Void
        /// The engine answers: what it is, and every container that it has (`GET /containers/json?all=1`). Events that follow
        /// may concern what the list already shows.
        package var up: @NodeLoop @Sendable (EngineIdentity, [JSON]) async -> Void
        /// The engine is gone; told once per outage.
        package var down: @NodeLoop @Sendable (EngineError) -> Void
        package var event: @NodeLoop @Sendable (EngineEvent) async -> Void

        package init(
            listing: @escaping @NodeLoop @Sendable () -> Void = {},
            up: @escaping @NodeLoop @Sendable (EngineIdentity, [JSON]) async -> Void = { _, _ in },
            down: @escaping @NodeLoop @Sendable (EngineError) -> Void = { _ in },
            event: @escaping @NodeLoop @Sendable (EngineEvent) async -> Void = { _ in }
        ) {
            self.listing = listing
            self.up = up
            self.down = down
            self.event = event
        }
    }

    package enum State: Sendable, Equatable {
        case unknown, up, down
    }

    /// Longer lines are no events.
    private static let lineLimit = 1 << 20
    /// How long the engine may take to agree before its list is taken all the same.
    private static let openingPatience = TimeAmount.milliseconds(500)

    package private(set) var state = State.unknown
    package private(set) var identity: EngineIdentity?
    private let client: DockerClient
    private let handlers: Handlers
    private let logger: Logger
    private let pingInterval: Duration
    private let pingTimeout: Duration
    private var delay: ReconnectDelay
    private var lastNano: Int64 = 0
    /// Seconds since 1970.
    private let startedAt = time(nil)
    /// The events at `lastNano`: asking for what came since answers with these again.
    private var lastRaw: Set<ByteBuffer> = []

    /// - Parameters:
    ///   - pingInterval: How often the engine is asked whether it still answers: one that hangs keeps its connections.
    ///   - pingTimeout: How long it may take.
    package init(
        client: DockerClient, logger: Logger, handlers: Handlers, delay: ReconnectDelay = ReconnectDelay(),
        pingInterval: Duration = .seconds(10), pingTimeout: Duration = .seconds(10)
    ) {
        self.client = client
        self.logger = logger
        self.handlers = handlers
        self.delay = delay
        self.pingInterval = pingInterval
        self.pingTimeout = pingTimeout
    }

    /// Returns when its task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            do throws(EngineError) {
                try await follow()
                throw EngineError(.closed, "the engine ended its event stream")
            } catch {
                if Task.isCancelled { return }
                lost(error)
            }
            do { try await ContinuousClock().sleep(for: delay.next()) } catch { return }
        }
    }

    private func lost(_ error: EngineError) {
        guard state != .down else { return }
        state = .down
        logger.warning("engine lost", metadata: ["reason": "\(error)"])
        handlers.down(error)
    }

    private func follow() async throws(EngineError) {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                let opened = NodeLoop.shared.loop.makePromise(of: Void.self)
                let told = NodeLoop.shared.loop.makePromise(of: Void.self)
                defer {
                    group.cancelAll()
                    opened.succeed()
                    told.succeed()
                }
                let identity = try await EngineIdentity.read(client, timeout: .seconds(30))
                group.addTask { try await self.listen(opened, told) }
                // The stream is opened before the list is taken: what happens between the two is in both, and never in none.
                // Podman answers with its first event only; what it had since it was asked comes with that.
                let patience = NodeLoop.shared.loop.scheduleTask(in: Self.openingPatience) { opened.succeed() }
                defer { patience.cancel() }
                try await opened.futureResult.get()
                try await begin(identity)
                told.succeed()
                group.addTask { try await self.ping() }
                try await group.next()
            }
        } catch let error as JSONError {
            throw EngineError(.malformed, "the engine sent an event that is not JSON", cause: error)
        } catch {
            throw .wrapping(error)
        }
    }

    /// Takes the full list and tells it.
    private func begin(_ identity: EngineIdentity) async throws {
        handlers.listing()
        let listed = try await client.request("GET", "/containers/json?all=1", timeout: .seconds(60)).checked().json()
        guard case .array(let containers) = listed else {
            throw EngineError(.malformed, "the engine's list of containers is not a list")
        }
        self.identity = identity
        state = .up
        delay.reset()
        logger.info("engine up", metadata: ["version": "\(identity.version)", "containers": "\(containers.count)"])
        await handlers.up(identity, containers)
    }

    /// - Parameters:
    ///   - opened: is fulfilled when the engine has agreed.
    ///   - told: events are held until then.
    private func listen(_ opened: EventLoopPromise<Void>, _ told: EventLoopPromise<Void>) async throws {
        do {
            let events = try await client.stream("GET", eventsTarget)
            defer { events.cancel() }
            guard events.status == 200 else {
                try await events.collect(limit: 1 << 20).checked()
                throw EngineError(.malformed, "the engine answered /events with status \(events.status)")
            }
            opened.succeed()
            try await told.futureResult.get()
            try Task.checkCancellation()
            try await tellAll(events.body)
        } catch {
            opened.fail(error)
            throw error
        }
    }

    private func tellAll(_ body: DockerBody) async throws {
        var lines = LineSplitter(limit: Self.lineLimit)
        for try await piece in body {
            lines.append(piece)
            while let line = try lines.next() { try await tell(line) }
        }
    }

    /// Fails when the engine does not answer in time.
    private func ping() async throws {
        while true {
            try await ContinuousClock().sleep(for: pingInterval)
            try await client.request("GET", "/_ping", timeout: pingTimeout).checked()
        }
    }

    private var eventsTarget: String {
        // What happened before the engine could be asked may be gone from its list already.
        guard lastNano > 0 else { return "/events?since=\(startedAt)" }
        let nanos = String(lastNano % 1_000_000_000)
        let padded = String(repeating: "0", count: 9 - nanos.utf8.count) + nanos
        return "/events?since=\(lastNano / 1_000_000_000).\(padded)"
    }

    private func tell(_ line: ByteBuffer) async throws {
        let event = try EngineEvent(line)
        if event.timeNano == lastNano, lastRaw.contains(event.raw) { return }
        if event.timeNano > lastNano {
            lastNano = event.timeNano
            lastRaw = []
        }
        if event.timeNano == lastNano { lastRaw.insert(event.raw) }
        await handlers.event(event)
    }
}
