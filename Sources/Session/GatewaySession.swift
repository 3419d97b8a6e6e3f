package import Fleet
package import Link
package import Logging
package import NIOCore
package import Trust

/// A node's session with its gateway, and its links to the other nodes.
package final class GatewaySession: ControlPlane {
    package let node: NodeID
    package let tenant: TenantID

    /// - Parameters:
    ///   - loop: where all sockets and streams of this session live.
    ///   - dockerStream: serves the Docker streams that peers open (the guard).
    /// - Throws: `.credentials` when the directory holds none that can be used.
    package init(
        configuration: SessionConfiguration, loop: any EventLoop, logger: Logger,
        dockerStream: @escaping DockerStreamHandler
    ) throws(SessionError)

    /// Dials, reports, beats and renews until cancelled; a lost gateway is redialled for ever.
    package func run() async

    /// Accepts direct links from other nodes of the tenant until the returned channel is closed.
    package func listen(host: String, port: Int) async throws(SessionError) -> any Channel
}
