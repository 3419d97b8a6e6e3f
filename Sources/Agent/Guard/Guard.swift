import DockerAPI
package import Engine
package import Fleet
import Images
package import Logging
package import NIOCore
package import Trust
package import Wire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a guard is told when it is made.
package struct GuardConfiguration: Sendable {
    package var node: NodeID
    package var tenant: TenantID
    package var policy: GuardPolicy
    package var headroom: Headroom
    /// Where bind mounts of other nodes are mirrored; nil where they are not.
    package var mirrors: String?
    /// The file that remembers whose images are whose; nil where a restart may forget it.
    package var images: String?
    /// The file that remembers whose volumes without names are whose; nil where a restart may forget it.
    package var volumes: String?
    /// Where chunks of other nodes' build contexts are kept; nil where they are not.
    package var contexts: String?
    /// The file that remembers which images Lighter brought; nil where a restart may take them for the owner's.
    package var broughtImages: String?
    package var imageCache = ImageCacheBound.share(0.2)
    /// Where layers are kept until their image is whole; nil where what a cut interrupts is sent again from its beginning.
    package var layers: String?
    /// `give_layers`: whether layers of others' images go from here to further nodes, where their owner wants it.
    package var givesLayers = true
    /// How often it is looked whether a neighbour gives as fast as it should.
    package var fetchTick = Duration.seconds(5)
    /// Seconds for which an image stays that nobody uses: `image_cache_keep`. A create may follow its image by ten minutes.
    package var imageCacheKeep = 900.0

    package init(
        node: NodeID, tenant: TenantID, policy: GuardPolicy = GuardPolicy(), headroom: Headroom = Headroom(),
        mirrors: String? = nil, images: String? = nil, volumes: String? = nil, contexts: String? = nil,
        broughtImages: String? = nil
    ) {
        self.broughtImages = broughtImages
        self.contexts = contexts
        self.volumes = volumes
        self.images = images
        self.mirrors = mirrors
        self.node = node
        self.tenant = tenant
        self.policy = policy
        self.headroom = headroom
    }
}

/// Stands between other nodes and this node's engine: lets each do what its tenant and its ticket say, and no more.
@NodeLoop
package final class Guard {
    package let configuration: GuardConfiguration
    /// Checks tickets; replace it when the fleet's ticket key changes.
    package var verifier: TicketVerifier
    let dialer: any DockerDialer
    let inventory: Inventory
    let layers: LayerBook
    let rights: ImageRights
    let cache: ImageCache
    var ownWork = OwnWork()
    /// Images that the engine would not let go, and until when it is not asked again.
    var refusedUntil: [LayerDigest: Double] = [:]
    /// The last look at the cache's room.
    var tidying: Task<Void, Never>?
    let offers = LayerOffers()
    /// Parcels of layers that leave, and that come.
    var giving = Turns(limit: 4, perNode: 2)
    var fetching = Turns(limit: 4, perNode: 2)
    /// Dials the guard of another node; nil where this one gets nothing from neighbours.
    package var neighbour: (@Sendable (NodeID) -> any DockerDialer)?
    let volumeRights: VolumeRights
    let bases: BuildBases
    /// Rights that are being found out.
    var noting: Task<Void, Never>?
    let logger: Logger
    private let free: @Sendable () -> Headroom.Free
    let now: @Sendable () -> Double
    private var order = StartOrder()
    private var fence = EpochFence()
    private var creating: Set<WorkloadID> = []
    private let inbox = TicketInbox()
    /// What holds the leases of exclusive work; nil where this node takes none.
    package var leases: LeaseKeeper? {
        didSet {
            leases?.retired = { [weak self] workload, epoch in self?.fence.note(workload, epoch: epoch &+ 1) }
        }
    }
    var addresses = ContainerAddresses()
    /// When containers left networks to join them under another name.
    var reconnections = QuietSpans()

    /// - Parameters:
    ///   - dialer: to this node's own engine.
    ///   - free: what is free on this node now; called at each create.
    ///   - now: seconds since 1970.
    package init(
        configuration: GuardConfiguration, verifier: TicketVerifier, dialer: any DockerDialer, inventory: Inventory,
        logger: Logger, free: @escaping @Sendable () -> Headroom.Free, now: @escaping @Sendable () -> Double
    ) {
        self.configuration = configuration
        self.verifier = verifier
        self.dialer = dialer
        self.inventory = inventory
        layers = LayerBook(client: inventory.client)
        rights = ImageRights(path: configuration.images)
        cache = ImageCache(path: configuration.broughtImages)
        volumeRights = VolumeRights(path: configuration.volumes)
        bases = BuildBases(client: inventory.client)
        self.logger = logger
        self.free = free
        self.now = now
    }

    /// Serves a stream that a peer opened: installs its handlers. Call it on the stream's event loop, which is the node's.
    ///
    /// The future fails when the stream is gone already, is of a kind that is not served, or cannot be joined to the port that
    /// it is for.
    package nonisolated func accept(
        stream: any Channel, kind: Lighter_V1_StreamOpen.OneOf_Kind, peer: PeerIdentity
    ) -> EventLoopFuture<Void> {
        switch kind {
        case .docker(let call): accept(stream: stream, call: call, peer: peer)
        case .port(let call): accept(stream: stream, port: call, peer: peer)
        case .mount(let call): accept(stream: stream, mount: call, peer: peer)
        case .tree(let call): accept(stream: stream, tree: call, peer: peer)
        case .lease: acceptLease(stream: stream, peer: peer)
        case .control, .relay, .relayed:
            stream.eventLoop.makeFailedFuture(
                DockerFailure(status: 400, message: "lighter: a node does not open streams of this kind"))
        }
    }

    /// Docker's HTTP follows; who may not speak hears so in answer to each request.
    nonisolated func accept(
        stream: any Channel, call: Lighter_V1_DockerCall, peer: PeerIdentity
    ) -> EventLoopFuture<Void> {
        let ticket = Array(call.ticket)
        let awaited = try? WorkloadID(call.awaits)
        return stream.eventLoop.makeCompletedFuture {
            try NodeLoop.assumeIsolated {
                let caller = self.caller(ticket: ticket, peer: peer)
                let side = GuardStream(desk: self, caller: caller, awaited: awaited, stream: stream)
                try stream.syncOptions?.setOption(.autoRead, value: false)
                try stream.pipeline.syncOperations.addHandler(ChannelSideHandler(side))
            }
        }
    }

    /// Who speaks, or why nobody may.
    func caller(ticket: [UInt8], peer: PeerIdentity) -> Result<CallScope, DockerFailure> {
        do throws(DockerFailure) {
            guard let origin = peer.node else {
                throw DockerFailure(
                    status: 403, message: "lighter: only nodes reach this node's engine, \(peer) is none")
            }
            guard peer.tenant == configuration.tenant else {
                throw DockerFailure(
                    status: 403,
                    message:
                        "lighter: \(peer) is of tenant \(peer.tenant), this node serves tenant \(configuration.tenant)")
            }
            guard !ticket.isEmpty else { return .success(CallScope(origin: origin, tenant: peer.tenant, ticket: nil)) }
            let verified = try verify(ticket)
            try check(verified, origin: origin, tenant: peer.tenant)
            fence.note(verified.workload, epoch: verified.epoch)
            inbox.put(verified)
            return .success(CallScope(origin: origin, tenant: peer.tenant, ticket: verified))
        } catch {
            return .failure(error)
        }
    }

    /// Takes a ticket that the gateway sent ahead of, or behind, the create that it is for. On the loop: what the gateway says
    /// next counts from behind it.
    package nonisolated func deposit(ticket: [UInt8]) {
        NodeLoop.assumeIsolated {
            do throws(DockerFailure) {
                let verified = try verify(ticket)
                guard verified.target == configuration.node else { return }
                leases?.tell(verified.workload, epoch: verified.epoch, origin: verified.origin)
                inbox.put(verified)
            } catch {
                logger.warning("a ticket of the gateway's is not valid", metadata: ["reason": "\(error.message)"])
            }
        }
    }

    /// The scope of a call that came without its ticket, once that is there.
    func scope(
        of caller: Result<CallScope, DockerFailure>, awaiting workload: WorkloadID, on loop: any EventLoop,
        _ answer: @escaping (Result<CallScope, DockerFailure>) -> Void
    ) {
        guard case .success(let known) = caller else { return answer(caller) }
        inbox.wait(for: workload, on: loop) { [self] ticket in
            do throws(DockerFailure) {
                guard let ticket else {
                    throw DockerFailure(status: 403, message: "lighter: no ticket for workload \(workload) has come")
                }
                try check(ticket, origin: known.origin, tenant: known.tenant)
                fence.note(ticket.workload, epoch: ticket.epoch)
                answer(.success(CallScope(origin: known.origin, tenant: known.tenant, ticket: ticket)))
            } catch {
                answer(.failure(error))
            }
        }
    }

    private func verify(_ ticket: [UInt8]) throws(DockerFailure) -> Ticket {
        do throws(TrustError) {
            return try verifier.verify(ticket, now: now())
        } catch {
            throw DockerFailure(status: 403, message: "lighter: \(error.message)")
        }
    }

    /// The ticket says what the gateway allowed; this, that it is this caller's, for this node.
    private func check(_ ticket: Ticket, origin: NodeID, tenant: TenantID) throws(DockerFailure) {
        guard ticket.origin == origin, ticket.tenant == tenant else {
            throw DockerFailure(
                status: 403,
                message:
                    "lighter: the ticket is node \(ticket.origin)'s of tenant \(ticket.tenant), not node \(origin)'s")
        }
        guard ticket.target == configuration.node else {
            throw DockerFailure(
                status: 403,
                message: "lighter: the ticket is for node \(ticket.target), this is node \(configuration.node)")
        }
    }

    // MARK: - One request

    struct Admitted: Sendable {
        var apiVersion: String?
        var admission: Admission
        var scope: CallScope

        var streamsBody: Bool {
            switch admission {
            case .imageLoad, .build: true
            case .container(_, let action, _): action.hasStreamedBody
            default: false
            }
        }

        var readsBody: Bool {
            switch admission {
            case .create, .exec, .missingLayers, .missingChunks, .objectCreate, .attachment, .sparseImage, .commit,
                .heldImages, .imagePin, .layerOffer, .layerFetch, .layerGift, .layerPlace:
                true
            case .container(_, let action, _): action.hasCheckedBody
            default: false
            }
        }
    }

    func admit(_ head: RequestHead, _ caller: Result<CallScope, DockerFailure>) throws(DockerFailure) -> Admitted {
        let scope = try caller.get()
        if let ticket = scope.ticket { try checkStillValid(ticket) }
        let (version, admission) = try Admission.decide(head, scope: scope, node: configuration.node)
        let spoken = version.map { inventory.engine?.spoken($0) ?? $0 }
        return Admitted(apiVersion: spoken, admission: admission, scope: scope)
    }

    /// A stream may outlive its ticket, and its lease.
    func checkStillValid(_ ticket: Ticket) throws(DockerFailure) {
        guard now() <= ticket.expiresAt + TicketVerifier.leeway else {
            throw DockerFailure(
                status: 403,
                message: "lighter: the ticket of workload \(ticket.workload) has expired; ask for a new one")
        }
        for record in inventory.index.containers(of: ticket.workload) {
            fence.note(ticket.workload, epoch: record.workload.version.epoch)
        }
        try fence.check(ticket.workload, epoch: ticket.epoch, node: configuration.node)
    }

    /// Keeps a later start of the workload back until this attach or wait is answered; to be followed by `release`.
    func hold(for admitted: Admitted) -> StartOrder.Hold? {
        guard case .container(_, let action, _) = admitted.admission, action.holdsStart,
            let ticket = admitted.scope.ticket
        else { return nil }
        return order.begin(ticket.workload, on: NodeLoop.shared.loop)
    }

    func release(_ hold: StartOrder.Hold) { order.end(hold) }

    func startClearance(of workload: WorkloadID) async {
        guard let clearance = order.clearance(of: workload, on: NodeLoop.shared.loop) else { return }
        // The promise behind it is only ever fulfilled.
        try? await clearance.get()
    }

    /// Reserves the workload for one create at a time; false when another is under way.
    func beginCreate(_ workload: WorkloadID) -> Bool { creating.insert(workload).inserted }

    func endCreate(_ workload: WorkloadID) { creating.remove(workload) }

    func freeNow() -> Headroom.Free { free() }

    /// Why a container that asks for so much cannot be taken now, as another node's origin can act on it.
    func checkHeadroom(asked: Resources = .none, incoming: ByteCount = .zero) throws(DockerFailure) {
        guard let reason = configuration.headroom.refusal(free(), asked: asked, incoming: incoming) else { return }
        throw DockerFailure(
            status: 503,
            message: "lighter: node \(configuration.node) has no room: \(reason); place the container elsewhere")
    }

    func logRefusal(_ failure: DockerFailure, of head: RequestHead?, caller: Result<CallScope, DockerFailure>) {
        var metadata: Logger.Metadata = ["status": "\(failure.status)", "reason": "\(failure.message)"]
        if let head { metadata["request"] = "\(head.method) \(head.path.prefix(200))" }
        if case .success(let scope) = caller { metadata["origin"] = "\(scope.origin)" }
        logger.info("request refused", metadata: metadata)
    }
}
