import FoundationEssentials
import Fleet
import Link
package import Logging
package import NIOCore
import NIOPosix
package import Trust
import Wire

/// How a machine becomes a node of a fleet.
package enum Enrolment {
    /// Makes a key, has the gateway certify it, and saves the credentials.
    ///
    /// - Parameters:
    ///   - gateway: `HOST:PORT`.
    ///   - node: the name wanted; nil for one that the gateway draws.
    ///   - directory: where the credentials go; it is made where it is missing.
    /// - Throws: `.denied` for a token that is wrong, used or expired, `.invalid` for a name that is taken, `.unavailable` when
    ///   the gateway cannot be reached, `.credentials` when it is not the one the token names or nothing could be saved.
    package static func join(
        gateway: String, token: JoinToken, node: String?, directory: String, on loop: any EventLoop, logger: Logger
    ) async throws(SessionError) -> Credentials {
        let key = NodeKey()
        do {
            let link = try await connect(to: try Endpoint(gateway), token: token, on: loop, logger: logger)
            defer { link.close(nil) }
            try PeerIdentity.requireGateway(link.peer)
            let control = try await ControlStream.open(on: link) { _, _ in }.get()
            let request = Lighter_V1_Envelope.OneOf_Body.joinRequest(try ask(token: token, node: node ?? "", key: key))
            guard case .joinReply(let reply) = try await control.request(request, timeout: .seconds(30)) else {
                throw GatewaySession.unexpected
            }
            let credentials = try Credentials(
                fleet: reply.fleet, certificateChainPEM: reply.certificateChain, keyPEM: key.pemRepresentation,
                caPEM: reply.caCertificate, ticketPublicKey: Array(reply.ticketPublicKey))
            try credentials.save(to: directory)
            return credentials
        } catch let error as SessionError {
            throw error
        } catch let error as TrustError {
            throw SessionError(.credentials, "this machine could not join the fleet", cause: error)
        } catch {
            throw SessionError(.unavailable, "this machine could not join the fleet", cause: error)
        }
    }

    private static func ask(token: JoinToken, node: String, key: NodeKey) throws -> Lighter_V1_JoinRequest {
        var request = Lighter_V1_JoinRequest()
        request.token = token.text
        request.node = node
        let publicKey = key.publicKeyDER
        request.publicKey = Data(publicKey)
        request.proof = Data(try key.sign(proven(token: token.text, node: node, publicKey: publicKey)))
        return request
    }

    /// What a joining machine signs to show that it has the key.
    package static func proven(token: String, node: String, publicKey: [UInt8]) -> [UInt8] {
        Array(token.utf8) + [0x0a] + Array(node.utf8) + [0x0a] + publicKey
    }

    /// A link on which the gateway has proved itself by the token's digest; tries each address in turn.
    private static func connect(
        to gateway: Endpoint, token: JoinToken, on loop: any EventLoop, logger: Logger
    ) async throws -> LinkConnection {
        var failure: any Error = SessionError(.unavailable, "\(gateway) has no address")
        for address in try await gateway.resolve() {
            do {
                let probe = try await ClientBootstrap(group: loop).connectTimeout(.seconds(10)).connect(to: address)
                    .get()
                return try await LinkTLS.joining(token: token, over: probe).flatMap { tls in
                    Link.connect(
                        to: address, tls: tls, on: loop, timeout: .seconds(10), configuration: LinkConfiguration(),
                        logger: logger, accept: refuseStreams)
                }.get()
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// Joining machines and operators serve no streams.
    static let refuseStreams: StreamAcceptor = { stream, _ in
        stream.eventLoop.makeFailedFuture(SessionError(.denied, "this end serves no streams"))
    }
}
