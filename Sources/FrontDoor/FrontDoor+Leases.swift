internal import DockerAPI
internal import Engine
internal import Fleet
internal import Leases
internal import Link
internal import Logging
internal import NIOCore
internal import Session
internal import Wire

/// Nodes that run exclusive work of this device's may do so for as long as the gateway or this device says so.
extension FrontDoor {
    func lossPolicy(of spec: CreateRequest) throws(DockerFailure) -> LossPolicy {
        do throws(FleetError) {
            var policy = try LossPolicy(
                labels: spec.labels, restartPolicy: spec.host.restartPolicy, returns: configuration.returns)
            // What is in a volume would not come with it; who does not mind says so.
            if spec.labels[LossPolicy.label] == nil, !spec.namedVolumes.isEmpty { policy.kind = .hold }
            return policy
        } catch {
            throw DockerFailure(status: 400, message: "lighter: \(error)")
        }
    }

    /// Whether this device does not count on a node any more.
    func isGivenUp(_ node: NodeID) -> Bool { grants[node]?.isGivenUp ?? false }

    func exclusiveRoutes(to node: NodeID) -> [Route] { routes.routes(to: node).filter(\.loss.isExclusive) }

    /// Grants a node its leases of this device's work, for as long as it has any.
    func grantLeases(to node: NodeID) {
        guard grants[node] == nil else { return }
        let made = NodeGrants(term: control.leaseTerm)
        grants[node] = made
        start { [self] in
            var delay = ReconnectDelay(longest: .seconds(2))
            while !Task.isCancelled, !exclusiveRoutes(to: node).isEmpty || made.isGivenUp {
                do {
                    let link = try await control.link(to: node)
                    let stream = try await open(on: link, made)
                    delay.reset()
                    try await stream.closeFuture.get()
                } catch {
                    logger.debug("no lease stream", metadata: ["node": "\(node)", "error": "\(error)"])
                }
                do { try await Task.sleep(for: delay.next()) } catch { return }
            }
            grants[node] = nil
        }
    }

    private func open(on link: LinkConnection, _ grants: NodeGrants) async throws -> any Channel {
        var open = Lighter_V1_StreamOpen()
        open.lease = Lighter_V1_LeaseCall()
        let control = control
        return try await link.openStream(announcing: open) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(LeaseHandler { grants.heard(control.leaseTerm) })
            }
        }.get()
    }
}
