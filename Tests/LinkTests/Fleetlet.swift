import Authority
import Fleet
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Trust

@testable import Link

/// A fleet of one authority for a test, with links over loopback.
struct Fleetlet {
    let authority: CertificateAuthority
    let gateway: Credentials
    let node: Credentials
    let loop = MultiThreadedEventLoopGroup.singleton.next()

    init(_ name: String = "test") throws {
        authority = try CertificateAuthority.create(fleet: name)
        gateway = try authority.credentials(for: PeerIdentity(role: .gateway, tenant: .main))
        node = try authority.credentials(for: Fleetlet.nodeIdentity)
    }

    static var nodeIdentity: PeerIdentity {
        get throws { PeerIdentity(role: .node(try NodeID("edge")), tenant: .main) }
    }

    /// A listener of the gateway's; what becomes a link is handed to `connected`.
    func listen(
        _ configuration: LinkConfiguration = .init(), accept: @escaping StreamAcceptor = StreamService.acceptor,
        connected: @escaping @Sendable (LinkConnection) -> Void = { _ in }
    ) async throws -> any Channel {
        let gateway = gateway
        return try await Link.listen(
            on: "127.0.0.1", port: 0, tls: { try LinkTLS.server(credentials: gateway) }, group: loop,
            configuration: configuration, logger: quiet, accept: accept, connected: connected
        ).get()
    }

    func connect(to listener: any Channel, tls: NIOSSLContext? = nil) async throws -> LinkConnection {
        guard let address = listener.localAddress else { throw ChannelError.unknownLocalAddress }
        return try await connect(to: address, tls: tls)
    }

    func connect(to address: SocketAddress, tls: NIOSSLContext? = nil) async throws -> LinkConnection {
        try await Link.connect(
            to: address, tls: try tls ?? LinkTLS.client(credentials: node), on: loop, timeout: .seconds(5),
            logger: quiet, accept: StreamService.acceptor
        ).get()
    }

    /// The code with which connecting fails; nil when it does not.
    func refusal(from listener: any Channel, tls: NIOSSLContext? = nil) async -> LinkError.Code? {
        do {
            let link = try await connect(to: listener, tls: tls)
            link.close(nil)
            return nil
        } catch { return (error as? LinkError)?.code }
    }
}

/// Answers whatever it is told, as a server of another protocol does.
private final class Greeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let greeting: String

    init(_ greeting: String) { self.greeting = greeting }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.channel.writeAndFlush(ByteBuffer(string: greeting), promise: nil)
    }
}

/// A TCP listener on loopback that answers each connection with `greeting` and nothing else.
func listenPlain(_ greeting: String?) async throws -> any Channel {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                if let greeting { try channel.pipeline.syncOperations.addHandler(Greeter(greeting)) }
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
}
