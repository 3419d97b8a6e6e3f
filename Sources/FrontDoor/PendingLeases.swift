internal import DockerAPI
internal import Engine
internal import Fleet
internal import Session

/// A lease whose container does not exist yet: its image must get to the target first.
///
/// The docker CLI answers a create's 404 with a pull and a second create: both must reach the node that has the lease.
struct PendingLease: Sendable {
    var workload: WorkloadID
    var epoch: UInt64
    var target: NodeID
    var ticket: [UInt8]
    var warnings: [String]
    /// As asked for, and normalised.
    var image: String
    var reference: ImageReference?
    var platform: String
    /// What a create must ask for, besides the image, to be the same.
    var workKey: String
    var resources: Resources
    var policy: Policy
    /// What it shares with others; see `SharingPlan.keys`.
    var keys: Set<String>
    /// What brings the image to the target.
    var shipment: Shipment?
    /// The client's pull has come; another one is not part of this create any more.
    var wasPulled = false
    /// The name drawn or given; the second create gets the same.
    var name: String
    var wasNamed: Bool
    var madeAt: Double

    @NodeLoop
    init(placed: Placed, target: NodeID, creation: FrontDoor.Creation, madeAt: Double) {
        workload = creation.request.id
        epoch = placed.epoch
        self.target = target
        ticket = placed.ticket
        warnings = placed.decision.warnings
        image = creation.spec.image
        reference = ImageReference(creation.spec.image)?.resolved
        platform = creation.request.platform
        workKey = creation.request.workKey
        resources = creation.request.resources
        policy = creation.request.policy
        keys = creation.sharing.keys
        name = creation.name
        wasNamed = creation.wasNamed
        self.madeAt = madeAt
    }
}

/// The leases that wait for their image.
@NodeLoop
final class PendingLeases {
    /// Seconds for which a client may take to come back with its pull, or after it.
    private static let patience = 600.0

    private var waiting: [PendingLease] = []

    /// Told of leases whose client did not come back.
    var expired: (@NodeLoop (PendingLease) -> Void)?

    nonisolated init() {}

    var isEmpty: Bool { waiting.isEmpty }
    var all: [PendingLease] { waiting }

    func put(_ lease: PendingLease) { waiting.append(lease) }

    /// The lease that an earlier, equal create was given, if one waits.
    func take(for creation: FrontDoor.Creation, at now: Double) -> PendingLease? {
        expire(now)
        let index = waiting.firstIndex {
            $0.image == creation.spec.image && $0.platform == creation.request.platform
                && $0.workKey == creation.request.workKey && $0.resources == creation.request.resources
                && $0.policy == creation.request.policy && $0.wasNamed == creation.wasNamed
                && (!$0.wasNamed || $0.name == creation.name)
        }
        return index.map { waiting.remove(at: $0) }
    }

    /// The lease that waits for a pull of this image, if one does; it goes on waiting for its create, but for no other pull.
    func takePull(of reference: ImageReference, at now: Double) -> PendingLease? {
        expire(now)
        guard let index = waiting.lastIndex(where: { $0.reference == reference && !$0.wasPulled }) else { return nil }
        waiting[index].wasPulled = true
        return waiting[index]
    }

    /// The pull of a lease has ended: its create may take as long as any from now on; or none will come.
    func pullEnded(_ workload: WorkloadID, at now: Double, succeeded: Bool) {
        guard let index = waiting.firstIndex(where: { $0.workload == workload }) else { return }
        if succeeded { waiting[index].madeAt = now } else { expired?(waiting.remove(at: index)) }
    }

    private func expire(_ now: Double) {
        let late = waiting.filter { now - $0.madeAt > Self.patience }
        guard !late.isEmpty else { return }
        waiting.removeAll { now - $0.madeAt > Self.patience }
        for lease in late { expired?(lease) }
    }
}
