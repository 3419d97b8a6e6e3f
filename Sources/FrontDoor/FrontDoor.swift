package import DockerAPI
package import Engine
package import Fleet
internal import Glibc
internal import Images
package import Logging
internal import NIOCore
internal import NIOPosix
internal import Placement
package import Session

/// The Docker socket of a device: answers its clients from the engine here, or from the node where the container runs.
///
/// What a request concerns is found from its path; then its bytes are passed on as they are, but for the few places where
/// a container's name or image must be shown as it was asked for.
@NodeLoop
package final class FrontDoor: Planning {
    let configuration: FrontDoorConfiguration
    let control: any ControlPlane
    let routes: RouteBook
    let networks: NetworkBook
    let volumes: VolumeBook
    let presentation: Presentation
    let logger: Logger
    let aliases: AliasBook
    private let engineSocket: UnixDialer?
    let plainEngineClient: DockerClient?
    /// This node as it measures itself at this moment.
    let describeNode: @Sendable () -> Node
    /// Told of every container that was created on this device's own engine.
    let localWorkload: @Sendable @NodeLoop (_ containerID: String, _ workload: Workload) -> Void

    var greeting = Greeting()
    var estimates = WorkEstimates()
    var thresholds = ThresholdMemory()
    let leases = PendingLeases()
    let shipments = Shipments()
    let homecomings = Homecomings()
    /// Pulls at other nodes that clients wait for.
    var pulls: [AwayPull] = []
    /// For how long a node may say nothing that gets layers from a neighbour, and one that gets an image which a second node
    /// waits for.
    var fetchPatience = Duration.seconds(15)
    var leadPatience = Duration.seconds(60)
    let sessions = HeldSessions()
    /// Builds elsewhere that their clients may take back, by the names that they gave them.
    var cancellations: [String: AsyncStream<Never>.Continuation] = [:]
    /// Images that only other nodes have.
    let images: ImageBook
    let imageNames: ImageNames
    /// Which layers the device's engine has.
    let layers: LayerBook?
    /// Exec instances of remote containers: exec id to container id.
    let execs: ExecBook
    /// Containers whose start nobody has asked for yet: what their streams will answer is known in advance.
    var fresh: Set<String> = []
    /// Containers of an earlier run of this daemon, of which it is not known yet whether they were started.
    var unseen: Set<String> = []
    let eventLog = EventLog()
    /// The device's engine did not answer when it was asked last; whoever watches it sets this.
    package var isEngineDown = false
    /// Images as the device's engine knew them last, by the names that creates gave.
    var knownImages = Recent<LocalImage>(limit: 64)
    /// The device's ids of the networks that every engine has of its own, by name.
    var plainNetworks: [String: String] = [:]
    /// Told when a node becomes the target of its first route.
    var targetWatchers: [Int: @Sendable @NodeLoop (NodeID) -> Void] = [:]
    var nextWatcher = 0

    /// Where this device listens for containers elsewhere.
    var ports = PortBook()
    /// What containers elsewhere did when their node was heard last, in Docker's words.
    var lastStates: [String: String] = [:]
    /// The images that other nodes had when they were asked last.
    var reviewed: [NodeID: Set<LayerDigest>] = [:]
    /// Bind mounts that are kept equal with their mirrors; nil where they do not leave the device.
    private(set) var mounts: MountBook?
    /// Done for containers that ended when their last outputs are here.
    var ended = Recent<EventLoopFuture<Void>>()
    /// How containers elsewhere have ended lately, for those who asked over a link that broke.
    var exitCodes = Recent<Int64>()
    /// Within which an engine tells an end that the gateway has told.
    var foretelling = Duration.seconds(2)
    /// How containers of this device's own engine ended; whoever follows its events fills it.
    package var exitCodesHere = ExitCodes()

    /// What `GET /lighter/node` says of who tells of containers' changes; the daemon sets it.
    package var eventSources: (@Sendable @NodeLoop () -> JSON)?

    /// Asks this node's own agent about images that others brought here; the daemon sets it.
    package var imagesHere: (@Sendable @NodeLoop (_ path: String, _ body: JSON) async throws(DockerFailure) -> JSON)?

    /// When containers of this device's own engine were created, finer than the engine lists it.
    var createdHere = Recent<Double>()
    /// Nodes whose events are followed to keep the routes true.
    var followed: Set<NodeID> = []
    /// Nodes that do not build for others, with what they said, and until when they are not asked again.
    var buildRefusals: [NodeID: (reason: String, until: Double)] = [:]
    /// Bases that another node had when it built with them, by node and image.
    var basesThere = Recent<Bool>(limit: 1024)
    /// What they have told, by node.
    var views: [NodeID: TargetView] = [:]
    /// What this device has granted nodes that run exclusive work of its.
    var grants: [NodeID: NodeGrants] = [:]
    /// Containers that are being given another node.
    var moving: Set<String> = []
    /// Those that a move has stopped, and that are to run again.
    var halted: [String: Journal.Halt] = [:]
    /// What containers take along that are on their way to another node, by their ids; most of the time they run meanwhile.
    var carrying: [String: Luggage] = [:]
    /// Those that were begun more than once.
    var lives = Lives()
    /// Those of which something was told meanwhile.
    var passedOver: Set<String> = []
    /// Until when those that could not be are left alone, in seconds since 1970.
    var moveRests: [String: Double] = [:]
    /// The sizes of terminals, as their clients told them last.
    var windows: [String: Query] = [:]
    /// Clients that are attached to containers elsewhere, by their ids.
    var attached: [String: Followers] = [:]
    /// Clients that follow the measures of such containers.
    var measured: [String: Followers] = [:]
    /// What the gateway was told last of nodes that are drained.
    var drainReports: [NodeID: DrainReport] = [:]
    /// Since when nodes are well to which containers go back, in seconds since 1970.
    var wellSince: [NodeID: Double] = [:]
    /// Remote containers' work, for what can be learned when they exit.
    var runs: [String: (workKey: String, startedAt: Double)] = [:]

    private let jobs: AsyncStream<@Sendable @NodeLoop () async -> Void>
    private let jobInlet: AsyncStream<@Sendable @NodeLoop () async -> Void>.Continuation

    /// - Throws: `FrontDoorError.journal` when the journal cannot be read.
    package init(
        configuration: FrontDoorConfiguration, control: any ControlPlane, routes: RouteBook, logger: Logger,
        describeNode: @escaping @Sendable () -> Node,
        localWorkload: @escaping @Sendable @NodeLoop (_ containerID: String, _ workload: Workload) -> Void
    ) throws(FrontDoorError) {
        networks = try NetworkBook(journal: routes.journal)
        volumes = try VolumeBook(journal: routes.journal)
        execs = try ExecBook(journal: routes.journal)
        self.configuration = configuration
        self.control = control
        self.routes = routes
        images = ImageBook(journal: routes.journal)
        imageNames = ImageNames(journal: routes.journal)
        self.logger = logger
        self.describeNode = describeNode
        self.localWorkload = localWorkload
        presentation = Presentation(origin: control.node)
        aliases = try AliasBook(journal: routes.journal)
        engineSocket = configuration.enginePath.map { UnixDialer(path: $0) }
        plainEngineClient = engineSocket.map { DockerClient(dialer: $0) }
        layers = plainEngineClient.map { LayerBook(client: $0) }
        (jobs, jobInlet) = AsyncStream.makeStream()
        if let settings = configuration.mounts {
            mounts = MountBook(settings, logger) { [jobInlet] job in jobInlet.yield(job) }
        }
    }

    /// The device's own engine; nil where it has none.
    var engine: EngineDialer? {
        engineSocket.map { EngineDialer(socket: $0, aliases: .fixed(aliases.table(at: control.node))) }
    }

    var engineClient: DockerClient? {
        guard let engine, engine.reuseKey == nil else { return plainEngineClient }
        return DockerClient(dialer: engine, maximumIdle: 0)
    }

    /// For its events, a stream that stands for long.
    var engineEvents: DockerClient? {
        engineSocket.map {
            DockerClient(dialer: EngineDialer(socket: $0, aliases: liveAliases(at: control.node)), maximumIdle: 0)
        }
    }

    func liveAliases(at node: NodeID) -> AliasSource { .live { [weak aliases] in aliases?.table(at: node) } }

    /// Serves clients until cancelled.
    /// - Throws: `FrontDoorError.socket` when the socket cannot be made, `.journal` when the journal cannot be read.
    package func run() async throws {
        // Before a client can add to them.
        let forgotten = try routes.journal.creating()
        for halt in try routes.journal.halts() { halted[halt.container] = halt }
        unseen = Set(routes.all.map(\.containerID))
        let listener = try await listen()
        leases.expired = { [weak self] lease in
            self?.start { await self?.giveBack(lease, "its client did not come back") }
        }
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.engineCameUp() }
                group.addTask { await self.followTargets() }
                group.addTask { await self.compareViews() }
                group.addTask { await self.followLosses() }
                group.addTask { await self.followDrains() }
                group.addTask { await self.followReturns() }
                group.addTask { await self.keepLinksWarm() }
                group.addTask { await self.followHoldings() }
                group.addTask { await self.sweep(forgotten) }
                group.addTask { await self.sweepNetworks() }
                group.addTask { await self.settleRemembered() }
                group.addTask { await self.sweepStrays() }
                for await job in jobs { group.addTask { await job() } }
                group.cancelAll()
            }
        } onCancel: {
            jobInlet.finish()
        }
        try? await listener.close()
        ports.closeAll()
        unlink(configuration.socketPath)
    }

    func start(_ job: @escaping @Sendable @NodeLoop () async -> Void) { jobInlet.yield(job) }

    // MARK: The socket

    private func listen() async throws(FrontDoorError) -> any Channel {
        let path = configuration.socketPath
        guard path.utf8.count < 108 else {
            throw FrontDoorError(
                .socket, "the socket path \(path) is over 107 bytes; choose a shorter one with --socket")
        }
        try await clearStale(path)
        let bootstrap = ServerBootstrap(group: NodeLoop.shared.loop)
            .serverChannelOption(.backlog, value: 512)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ClientHandler(planner: self))
                }
            }
        // Nobody but the owner until the mode is set: a socket's mode is what the umask leaves of it.
        let mask = umask(0o177)
        defer { umask(mask) }
        do {
            let listener = try await bootstrap.bind(unixDomainSocketPath: path).get()
            try admit(group: configuration.group, to: path)
            return listener
        } catch let error as FrontDoorError {
            throw error
        } catch {
            throw FrontDoorError(
                .socket, "cannot listen on \(path); does its folder exist and may it be written?", cause: error)
        }
    }

    /// Removes a socket that nobody serves any more; one that somebody serves is an error.
    private func clearStale(_ path: String) async throws(FrontDoorError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw FrontDoorError(.socket, "\(path) exists and is no socket; choose another path with --socket")
        }
        let probe = try? await UnixDialer(path: path).dial(on: NodeLoop.shared.loop) {
            $0.eventLoop.makeSucceededVoidFuture()
        }.get()
        if let probe {
            try? await probe.close()
            throw FrontDoorError(
                .socket, "another process serves \(path); stop it, or choose another path with --socket")
        }
        unlink(path)
    }

    private func admit(group name: String?, to path: String) throws(FrontDoorError) {
        if let name {
            guard let entry = getgrnam(name) else {
                throw FrontDoorError(.socket, "there is no group '\(name)'; make it, or name another with --group")
            }
            guard chown(path, uid_t.max, entry.pointee.gr_gid) == 0 else {
                let reason = String(cString: strerror(errno))
                throw FrontDoorError(.socket, "cannot give \(path) to group '\(name)': \(reason)")
            }
        }
        guard chmod(path, 0o660) == 0 else {
            throw FrontDoorError(.socket, "cannot set the mode of \(path): \(String(cString: strerror(errno)))")
        }
    }

    // MARK: Planning

    func plan(for head: RequestHead) -> Plan {
        let (version, route, query) = DockerPath.parse(method: head.method, target: head.target)
        // A version that the engine here does not speak is its own to refuse.
        if let version, engine != nil, greeting.isKnown, !speaks(version) { return local(head) }
        return switch route {
        case .ping: planPing(head)
        case .version where engine == nil || isEngineDown: planWithoutEngine(head, versionWithoutEngine)
        case .info where engine == nil || isEngineDown: planWithoutEngine(head, infoWithoutEngine)
        case .info where !routes.isEmpty: .handle(Job { _, _ in await self.info(head) })
        case .containerCreate(let name):
            .handle(Job(bodyLimit: 16 << 20) { body, _ in await self.create(head, name ?? "", query, body) })
        case .containerList where !routes.isEmpty || engine == nil:
            .handle(Job { _, _ in await self.listContainers(head, query) })
        case .containerPrune where !routes.isEmpty || engine == nil:
            .handle(Job { _, _ in await self.pruneContainers(head, query) })
        case .commit: planCommit(head, query)
        case .events: .handle(Job { _, client in await self.events(head, query, client) })
        case .container(let reference, let action): planContainer(head, reference, action, query)
        case .exec(let id, let action): planExec(head, id, action)
        case .networkList, .networkCreate, .networkPrune, .network: planNetwork(head, route, query)
        case .volumeList, .volumeCreate, .volumePrune, .volume: planVolume(head, route, query)
        case .diskUsage where engine != nil && !(routes.isEmpty && volumes.hasNone):
            .handle(Job { _, _ in await self.diskUsage(head, query) })
        case .build: planBuild(head, query)
        case .buildCancel: planBuildCancel(head, query)
        case .session: planSession(head)
        case .grpc: planControl(head)
        case .imageHoldings: .handle(Job { _, _ in await self.imageHoldings() })
        case .mountStates: .handle(Job { _, _ in await self.mountStates() })
        case .containerMove: .handle(Job(bodyLimit: 64 << 10) { body, _ in await self.moveContainer(body) })
        case .imagePin: .handle(Job(bodyLimit: 64 << 10) { body, _ in await self.pinImage(body) })
        case .nodeState: .handle(Job { _, _ in await self.nodeState() })
        case .imageCreate: planImageCreate(head, query)
        case .imageList where !images.isEmpty: .handle(Job { _, _ in await self.listImages(head, query) })
        case .imageSave where !images.isEmpty: planSave(head, query)
        case .image(let reference, "") where head.method == "DELETE" && !routes.isEmpty:
            planImageRemoval(
                head, reference, query,
                otherwise: images.isEmpty ? local(head) : planImage(head, reference, "", query))
        case .imagePrune where !routes.isEmpty: .handle(Job { _, _ in await self.pruneImages(head, query) })
        case .image(let reference, let action) where !images.isEmpty: planImage(head, reference, action, query)
        default: local(head)
        }
    }

    private func speaks(_ version: String) -> Bool {
        guard let asked = APIVersion(version) else { return false }
        return (APIVersion.oldest...max(greeting.apiVersion, .oldest)).contains(asked)
    }

    /// Passes a request to the engine of this device.
    func local(_ head: RequestHead) -> Plan {
        guard let engine else {
            let refusal = DockerFailure(
                status: 501, message: "lighter: this device has no engine of its own for that")
            return .answer(Answer(refusal.response(version: nil)))
        }
        return .forward(Forward(dialer: engine, reuseKey: engine.reuseKey, head: head.raw))
    }

    func failure(_ status: Int, _ message: String) -> Job.Outcome {
        let failure = DockerFailure(status: status, message: message)
        return .answer(Answer(failure.response(version: greeting.apiVersion.description)))
    }
}
