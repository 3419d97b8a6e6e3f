import DockerAPI
import Engine
import Fleet
import NIOCore
import Trust

/// Exclusive work of other nodes: what may be done with it depends on its lease.
extension Guard {
    /// The gate for a create of exclusive work.
    func gate(for ticket: Ticket) async throws(DockerFailure) -> String {
        guard let leases else {
            throw DockerFailure(
                status: 503,
                message:
                    "lighter: node \(configuration.node) takes no exclusive work: it has no folder for leases; see its "
                    + "log")
        }
        return try await leases.admit(ticket.workload, epoch: ticket.epoch, origin: ticket.origin)
    }

    /// Nothing that lets exclusive work run is passed on while its lease does not stand, nor an end that is none.
    func checkLease(of record: ContainerRecord, for action: Admission.ContainerAction) async throws(DockerFailure) {
        guard record.isExclusive, let leases else { return }
        switch action {
        case .start, .restart: try await leases.prepareStart(record)
        case .unpause, .exec: try leases.checkStands(record)
        case .stop, .kill: leases.noteStopped(record)
        case .wait: await leases.endOfSuspension(of: record.id)
        default: break
        }
    }

    /// An origin's own word for its work here, for as long as the stream stands.
    nonisolated func acceptLease(stream: any Channel, peer: PeerIdentity) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture {
            try NodeLoop.assumeIsolated {
                guard let origin = peer.node, peer.tenant == configuration.tenant, let leases else {
                    throw DockerFailure(status: 403, message: "lighter: \(peer) has no leases here")
                }
                try stream.pipeline.syncOperations.addHandler(LeaseStreamHandler(origin: origin, keeper: leases))
            }
        }
    }
}
