import Agent
import DockerAPI
import Engine
import Fleet
import FrontDoor
import Glibc
import Logging
import NIOCore
import Session
import Trust

/// The composition of a node: what measures, what guards, what answers, and the session that ties them to the fleet.
@NodeLoop
struct Daemon {
    private let options: DaemonOptions
    private let logger = Logger(label: "lighterd")

    nonisolated init(_ options: DaemonOptions) { self.options = options }

    /// Serves until a signal comes.
    func run(until signals: TerminationSignals) async throws {
        let loop = NodeLoop.shared.loop
        let credentials = try Credentials.load(from: "\(options.state)/credentials")
        guard let node = credentials.node else {
            throw OptionError("the credentials in \(options.state) are not a node's: run lighter join")
        }
        guard !options.gateways.isEmpty else {
            throw OptionError("no gateway is configured: run lighter join, or use --gateway")
        }
        let dialer = UnixDialer(path: options.engine ?? "/nonexistent")
        let description = await NodeDescription(options, node: node, tenant: credentials.tenant, dialer: dialer)
        let entrance = GuardEntrance()
        var speaking = SessionConfiguration(
            credentialsDirectory: "\(options.state)/credentials", gateways: options.gateways,
            advertisedAddresses: options.advertise.isEmpty ? options.listen.map { [$0] } ?? [] : options.advertise,
            stateDirectory: options.state, version: Lighterd.version, describeNode: { description.node },
            ticketArrived: { entrance.desk?.deposit(ticket: $0) })
        speaking.leases = { entrance.keeper }
        speaking.workloadEnded = { end in
            NodeLoop.assumeIsolated { entrance.door?.hasEnded(end) }
        }
        let session = try GatewaySession(
            configuration: speaking, loop: loop, logger: Logger(label: "session"), serve: entrance.handler)
        let learner = Learner()
        let inventory = Inventory(
            node: node, client: DockerClient(dialer: dialer), exits: ExitWatch(loop: loop),
            used: options.eventSources, logger: Logger(label: "inventory")
        ) { workload in
            session.report(workload)
            learner.note(workload)
        }
        description.watch(inventory)
        var policy = GuardPolicy()
        policy.acceptsBuilds = options.acceptsBuilds
        var guarding = GuardConfiguration(
            node: node, tenant: credentials.tenant, policy: policy, mirrors: "\(options.state)/mirrors",
            images: "\(options.state)/images", volumes: "\(options.state)/volumes",
            contexts: "\(options.state)/contexts",
            broughtImages: "\(options.state)/images-brought")
        guarding.layers = "\(options.state)/layers"
        guarding.givesLayers = options.givesLayers
        guarding.imageCache = options.imageCache
        guarding.imageCacheKeep = options.imageCacheKeep
        let desk = Guard(
            configuration: guarding,
            verifier: try TicketVerifier(publicKey: credentials.ticketPublicKey), dialer: dialer, inventory: inventory,
            logger: Logger(label: "guard"), free: { description.free }, now: { wallClock() })
        if let engine = options.engine {
            entrance.keeper = keeper(of: session, inventory, engine: engine)
            desk.leases = entrance.keeper
        }
        entrance.desk = desk
        let journal = try Journal(path: "\(options.state)/journal.db")
        for (id, workload) in try journal.localWorkloads() { inventory.remember(containerID: id, workload: workload) }
        var front = FrontDoorConfiguration(
            socketPath: options.socket, group: options.group, enginePath: options.engine, policy: options.policy,
            version: Lighterd.version,
            mounts: options.mountsMaximum == .zero
                ? nil : .init(folder: "\(options.state)/mounts", maximumBytes: options.mountsMaximum),
            spool: "\(options.state)/spool")
        front.preloadNodes = options.preload
        front.returns = options.returns
        let door = try FrontDoor(
            configuration: front, control: session, routes: try RouteBook(journal: journal),
            logger: Logger(label: "front-door"), describeNode: { description.node },
            localWorkload: { id, workload in inventory.adopt(containerID: id, workload: workload) })
        door.exitCodesHere = inventory.exitCodes
        door.eventSources = { [weak inventory] in inventory?.sources.json ?? .array([]) }
        desk.neighbour = { door.guardDialer(to: $0) }
        door.imagesHere = { path, body throws(DockerFailure) in try await desk.imagesHere(path, body) }
        learner.door = door
        entrance.door = door
        try await serve(session, inventory, door, desk, description, signals)
    }

    private func keeper(of session: GatewaySession, _ inventory: Inventory, engine: String) -> LeaseKeeper? {
        let folder = LeaseFolder(path: options.leases)
        let configuration = LeaseKeeper.Configuration(
            folder: folder, memory: "\(options.state)/exclusive", engine: engine,
            heartbeat: { session.heartbeatInterval })
        guard let keeper = LeaseKeeper(configuration, inventory: inventory, logger: Logger(label: "leases")) else {
            logger.warning(
                "this node takes no exclusive work: its folder for leases cannot be used",
                metadata: ["folder": "\(options.leases)", "reason": "\(String(cString: strerror(errno)))"])
            return nil
        }
        keeper.stirred = { [weak session] in session?.beatNow() }
        if !folder.isVolatile {
            logger.notice(
                "a boot does not empty the folder for leases: an engine may start exclusive work by itself then; use a tmpfs",
                metadata: ["folder": "\(options.leases)"])
        }
        return keeper
    }

    private func serve(
        _ session: GatewaySession, _ inventory: Inventory, _ door: FrontDoor, _ desk: Guard,
        _ description: NodeDescription, _ signals: TerminationSignals
    ) async throws {
        var listener: (any Channel)?
        if let listen = options.listen {
            let (host, port) = try Self.split(listen)
            listener = try await session.listen(host: host, port: port)
        }
        var handlers = inventory.handlers
        let up = handlers.up
        handlers.up = { identity, list in
            await up(identity, list)
            desk.leases?.engineIsListed()
            session.inventoryIsComplete()
            await door.engineCameUp()
        }
        let event = handlers.event
        handlers.event = {
            await event($0)
            desk.note($0)
        }
        let down = handlers.down
        handlers.down = { error in
            down(error)
            door.isEngineDown = true
        }
        let watch = EngineWatch(
            client: DockerClient(dialer: UnixDialer(path: options.engine ?? "")), logger: Logger(label: "engine"),
            handlers: handlers)
        let hasEngine = options.engine != nil
        let starts = StartWatch(loop: NodeLoop.shared.loop)
        defer { starts.stop() }
        if hasEngine, options.eventSources.contains(.ebpf) { inventory.follow(starts) }
        if !hasEngine { session.inventoryIsComplete() }
        logger.notice(
            "serving",
            metadata: ["node": "\(session.node)", "socket": "\(options.socket)", "version": "\(Lighterd.version)"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await signals.wait() }
            group.addTask { await session.run() }
            group.addTask { try await door.run() }
            group.addTask { await description.keepMeasuring() }
            group.addTask { await MemoryThrift.keep() }
            if hasEngine {
                group.addTask { await watch.run() }
                if let interval = options.scanInterval {
                    group.addTask { await inventory.keepScanning(every: interval) }
                }
                group.addTask { await desk.keepMirrorsBounded() }
                group.addTask { await desk.keepContextsBounded() }
                group.addTask { await desk.keepImagesBounded() }
            }
            // Whatever ends first ends the daemon: a signal, or a role that cannot go on.
            do { try await group.next() } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
        }
        try? await listener?.close()
        logger.notice("stopped")
    }

    private static func split(_ address: String) throws(OptionError) -> (String, Int) {
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw OptionError("'\(address)' is not HOST:PORT") }
        let host = address[..<colon]
        return (host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host), port)
    }
}

/// Seconds since 1970.
func wallClock() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
