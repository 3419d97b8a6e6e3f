package import Fleet
import Link
package import Logging
package import NIOCore
package import Trust
import Wire

/// An operator's questions to the gateway: what the command line shows.
package struct OperatorClient: Sendable {
    private static let patience = TimeAmount.seconds(30)

    private let control: ControlStream

    /// - Throws: `.unavailable` when the gateway cannot be reached, `.credentials` when it is not this fleet's.
    package static func connect(
        gateway: String, credentials: Credentials, on loop: any EventLoop, logger: Logger
    ) async throws(SessionError) -> OperatorClient {
        do {
            let addresses = try await Endpoint(gateway).resolve()
            let link = try await LinkRace.run(addresses, on: loop) { address in
                do {
                    return Link.connect(
                        to: address, tls: try LinkTLS.client(credentials: credentials), on: loop, timeout: .seconds(10),
                        configuration: LinkConfiguration(), logger: logger, accept: Enrolment.refuseStreams)
                } catch {
                    return loop.makeFailedFuture(error)
                }
            }.get()
            do {
                try PeerIdentity.requireGateway(link.peer)
                return OperatorClient(control: try await ControlStream.open(on: link) { _, _ in }.get())
            } catch {
                link.close(nil)
                throw error
            }
        } catch let error as SessionError {
            throw error
        } catch let error as TrustError {
            throw SessionError(.credentials, "the gateway at \(gateway) cannot be trusted", cause: error)
        } catch {
            throw SessionError(.unavailable, "the gateway at \(gateway) cannot be reached", cause: error)
        }
    }

    package func close() { control.link.close(nil) }

    package func nodes() async throws(SessionError) -> [Node] {
        guard case .listNodesReply(let reply) = try await ask(.listNodesRequest(.init())) else {
            throw GatewaySession.unexpected
        }
        return try read { try reply.nodes.map { try $0.domain() } }
    }

    /// The latest workloads.
    /// - Parameter all: those that have ended too.
    package func workloads(all: Bool = false) async throws(SessionError) -> [Workload] {
        try await listing(all: all).workloads
    }

    /// The latest workloads, and how many older ones a list does not show.
    package func listing(all: Bool) async throws(SessionError) -> (workloads: [Workload], omitted: Int) {
        var request = Lighter_V1_ListWorkloadsRequest()
        request.all = all
        guard case .listWorkloadsReply(let reply) = try await ask(.listWorkloadsRequest(request)) else {
            throw GatewaySession.unexpected
        }
        return try read { (try reply.workloads.map { try $0.domain() }, Int(clamping: reply.omitted)) }
    }

    /// The workload with its decision.
    /// - Parameter reference: a workload id, a container id or a prefix of one, or a name.
    /// - Throws: `.notFound`, or `.invalid` when several match.
    package func explain(_ reference: String) async throws(SessionError) -> Workload {
        var request = Lighter_V1_ExplainRequest()
        request.reference = reference
        guard case .explainReply(let reply) = try await ask(.explainRequest(request)) else {
            throw GatewaySession.unexpected
        }
        return try read { try reply.workload.domain() }
    }

    /// A fresh join token as text, and when it expires in seconds since 1970.
    package func token(
        tenant: TenantID = .main, ttl: Duration
    ) async throws(SessionError) -> (text: String, expiresAt: Double) {
        var request = Lighter_V1_TokenRequest()
        request.tenant = tenant.name
        request.ttlSeconds = Double(ttl.components.seconds)
        guard case .tokenReply(let reply) = try await ask(.tokenRequest(request)) else {
            throw GatewaySession.unexpected
        }
        return (reply.token, reply.expiresAt)
    }

    package enum Draining: String, Sendable {
        /// Lets it take no new work, and has devices move theirs off.
        case drain
        case resume
        /// Changes nothing.
        case look
    }

    /// The node as it is then, and the workloads of others that are at it.
    /// - Parameter withState: of `.drain`: what leaves takes along what it wrote.
    /// - Throws: `.notFound` where the fleet has no such node.
    package func drain(
        _ node: String, _ action: Draining, withState: Bool = false
    ) async throws(SessionError) -> (node: Node, left: [DrainedWorkload]) {
        var request = Lighter_V1_DrainRequest()
        request.node = node
        request.action = action.rawValue
        request.withState = withState
        guard case .drainReply(let reply) = try await ask(.drainRequest(request)) else {
            throw GatewaySession.unexpected
        }
        return try read { (try reply.node.domain(), try reply.rows.map { try $0.domain() }) }
    }

    private func ask(_ body: ControlStream.Body) async throws(SessionError) -> ControlStream.Body {
        try await control.request(body, timeout: Self.patience)
    }

    private func read<T>(_ body: () throws -> T) throws(SessionError) -> T {
        do {
            return try body()
        } catch {
            throw SessionError(
                .malformed, "the gateway's answer cannot be read; is it of a newer version?", cause: error)
        }
    }
}
