import Authority
import Fleet
import Foundation
import Link
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Session
import Synchronization
import Trust
import Wire

/// One node without an engine: a certificate, and a link to the gateway that it dials again when it breaks.
final class SimulatedAgent: Sendable {
    /// How often a node tries before the simulation gives it up.
    private static let tries = 60

    private struct Connection: Sendable {
        var link: LinkConnection
        var stream: any Channel
    }

    private let memory: SimulatedMemory
    private let heartbeat: TimeAmount
    private let isRestless: Bool
    private let address: SocketAddress
    private let tls: NIOSSLContext
    private let tally: SimulationTally
    private let loop: any EventLoop
    private let tasksDone: EventLoopPromise<Void>
    private let connection = Mutex<Connection?>(nil)

    init(
        number: Int, plan: SimulationPlan, address: SocketAddress, authority: CertificateAuthority,
        tally: SimulationTally
    ) throws {
        let name = String(number)
        let node = try NodeID("sim-" + String(repeating: "0", count: max(0, 5 - name.count)) + name)
        let sequence = UInt64(Date().timeIntervalSince1970 * 1e6)
        memory = SimulatedMemory(
            node: node,
            tasks: SimulatedTasks(
                node: node, share: plan.share(of: number), batch: plan.batch, sequence: sequence))
        heartbeat = TimeAmount(plan.heartbeat)
        isRestless = plan.isRestless(number)
        let identity = PeerIdentity(role: .node(node), tenant: .main)
        tls = try LinkTLS.client(credentials: authority.credentials(for: identity))
        self.address = address
        self.tally = tally
        loop = MultiThreadedEventLoopGroup.singleton.next()
        tasksDone = loop.makePromise()
    }

    deinit { tasksDone.succeed() }

    /// Dials until the gateway has acknowledged all that this node has.
    ///
    /// - Returns: how often it was refused.
    func stay() async throws -> Int {
        var backoff = Backoff()
        for refusals in 0..<Self.tries {
            do {
                try await connect()
                return refusals
            } catch {
                if refusals + 1 == Self.tries { throw error }
                try await Task.sleep(for: (error as? SessionError)?.retryAfter ?? backoff.next())
            }
        }
        return Self.tries
    }

    private func connect() async throws {
        let link = try await Link.connect(
            to: address, tls: tls, on: loop, timeout: .seconds(5), configuration: LinkConfiguration(), logger: .silent,
            accept: { stream, _ in stream.eventLoop.makeFailedFuture(SessionError(.denied, "no streams here")) }
        ).get()
        let settled = loop.makePromise(of: Void.self)
        let timer = loop.scheduleTask(in: .seconds(30)) {
            settled.fail(SessionError(.timedOut, "the gateway did not acknowledge the inventory in time"))
        }
        defer { timer.cancel() }
        do {
            var open = Lighter_V1_StreamOpen()
            open.control = Lighter_V1_Control()
            let stream = try await link.openStream(announcing: open) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        SimulatedControl(
                            link: link, memory: self.memory, tally: self.tally, heartbeat: self.heartbeat,
                            isRestless: self.isRestless, settled: settled, finished: self.tasksDone))
                }
            }.get()
            connection.withLock { $0 = Connection(link: link, stream: stream) }
            try await settled.futureResult.get()
        } catch {
            settled.fail(error)
            link.close(nil)
            throw error
        }
    }

    func begin() {
        guard let stream = connection.withLock({ $0?.stream }) else { return }
        stream.eventLoop.execute { stream.pipeline.fireUserInboundEventTriggered(SimulatedControl.Begin()) }
    }

    /// Waits until every task of this node has been removed, and the gateway has that on its disk.
    func finished() async throws { try await tasksDone.futureResult.get() }

    func close() { connection.withLock { $0?.link }?.close(nil) }
}
