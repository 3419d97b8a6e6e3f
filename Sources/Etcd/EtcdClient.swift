package import NIOCore
import NIOSSL
import SwiftProtobuf
import Synchronization

/// etcd's v3 API over one connection at a time: the next endpoint takes over when one does not answer.
///
/// Every call has a deadline. Only what changes nothing, or changes it to the same however often it is done, is tried
/// again by itself; whether to repeat a transaction is for its caller to say.
package final class EtcdClient: Sendable {
    package struct Configuration: Sendable {
        package var location: EtcdLocation
        package var tls = EtcdTLS()
        /// For one try at one endpoint.
        package var tryTimeout = TimeAmount.seconds(1)
        /// For all tries of a call.
        package var callTimeout = TimeAmount.seconds(5)

        package init(location: EtcdLocation) { self.location = location }
    }

    private struct State {
        var connection: EventLoopFuture<EtcdConnection>?
        /// Counts connections, so that one who found the former broken does not close its successor.
        var turn = 0
        var isClosed = false
    }

    package let configuration: Configuration
    private let tls: NIOSSLContext?
    private let loop: any EventLoop
    private let state = Mutex(State())

    /// Connects at the first call.
    /// - Throws: `.configuration` for certificates that cannot be used.
    package init(_ configuration: Configuration, group: any EventLoopGroup) throws(EtcdError) {
        self.configuration = configuration
        tls = configuration.location.isSecure ? try configuration.tls.context() : nil
        loop = group.next()
    }

    /// Calls under way fail, later ones throw `.closed`.
    package func close() {
        let connection = state.withLock { state in
            state.isClosed = true
            defer { state.connection = nil }
            return state.connection
        }
        connection?.whenSuccess { $0.close() }
    }

    // MARK: - Calls

    package func range(_ request: EtcdRangeRequest) async throws(EtcdError) -> EtcdRangeResponse {
        try await call("KV/Range", request, isIdempotent: true)
    }

    package func put(_ request: EtcdPutRequest) async throws(EtcdError) -> EtcdPutResponse {
        try await call("KV/Put", request, isIdempotent: true)
    }

    package func deleteRange(_ request: EtcdDeleteRangeRequest) async throws(EtcdError) -> EtcdDeleteRangeResponse {
        try await call("KV/DeleteRange", request, isIdempotent: false)
    }

    package func transact(_ request: EtcdTxnRequest) async throws(EtcdError) -> EtcdTxnResponse {
        try await call("KV/Txn", request, isIdempotent: false)
    }

    package func compact(_ request: EtcdCompactionRequest) async throws(EtcdError) -> EtcdCompactionResponse {
        try await call("KV/Compact", request, isIdempotent: false)
    }

    /// Not repeated: a lease whose answer was lost ends by itself.
    package func grant(_ request: EtcdLeaseGrantRequest) async throws(EtcdError) -> EtcdLeaseGrantResponse {
        try await call("Lease/LeaseGrant", request, isIdempotent: false)
    }

    /// - Parameter limit: for all tries; a lease that has run out need not be asked for any longer.
    package func keepAlive(
        _ request: EtcdLeaseKeepAliveRequest, within limit: Duration
    ) async throws(EtcdError) -> EtcdLeaseKeepAliveResponse {
        // A stream of answers in etcd's API, of which this one ends after the first.
        try await call("Lease/LeaseKeepAlive", request, isIdempotent: true, within: TimeAmount(limit))
    }

    package func revoke(_ request: EtcdLeaseRevokeRequest) async throws(EtcdError) -> EtcdLeaseRevokeResponse {
        try await call("Lease/LeaseRevoke", request, isIdempotent: false)
    }

    private func call<Answer: SwiftProtobuf.Message>(
        _ method: String, _ request: some SwiftProtobuf.Message, isIdempotent: Bool, within limit: TimeAmount? = nil
    ) async throws(EtcdError) -> Answer {
        let message: ByteBuffer
        do {
            message = ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
        } catch {
            throw EtcdError(.invalid, "the request cannot be put into bytes", cause: error)
        }
        let bytes = try await call(
            "/etcdserverpb.\(method)", message, isIdempotent: isIdempotent, within: limit ?? configuration.callTimeout)
        do {
            return try Answer(serializedBytes: Array(bytes.readableBytesView))
        } catch {
            throw EtcdError(.failed, "etcd's answer to \(method) cannot be read", cause: error)
        }
    }

    private func call(
        _ path: String, _ message: ByteBuffer, isIdempotent: Bool, within limit: TimeAmount
    ) async throws(EtcdError) -> ByteBuffer {
        let deadline = NIODeadline.now() + limit
        var pause = 10.0
        while true {
            do throws(EtcdError) {
                return try await callOnce(path, message, before: deadline)
            } catch {
                // What was not sent can be sent again, whatever it is.
                guard error.code == .unreachable || isIdempotent && error.isPassing else { throw error }
                let wait = Duration.milliseconds(pause * Double.random(in: 0.5...1))
                // Too little time for another try would hide what this one found.
                guard NIODeadline.now() + TimeAmount(wait) + .milliseconds(20) < deadline else { throw error }
                do { try await Task.sleep(for: wait) } catch { throw EtcdError(.cancelled, "the call was cancelled") }
                pause = min(pause * 2, 200)
            }
        }
    }

    private func callOnce(_ path: String, _ message: ByteBuffer, before deadline: NIODeadline) async throws(EtcdError)
        -> ByteBuffer
    {
        let timeout = min(configuration.tryTimeout, deadline - NIODeadline.now())
        let (turn, connection) = try connect(timeout)
        do {
            return try await connection.flatMap { $0.call(path, message, timeout: timeout) }.get()
        } catch let error as EtcdError {
            if error.isPassing { abandon(turn) }
            throw error
        } catch {
            throw EtcdError(.failed, "the call to etcd failed", cause: error)
        }
    }

    // MARK: - Connecting

    /// The connection that stands or is being made, else one to the endpoint whose turn it is.
    private func connect(_ timeout: TimeAmount) throws(EtcdError) -> (Int, EventLoopFuture<EtcdConnection>) {
        let (turn, connection, isNew) = state.withLock { state -> (Int, EventLoopFuture<EtcdConnection>?, Bool) in
            guard !state.isClosed else { return (0, nil, false) }
            if let connection = state.connection { return (state.turn, connection, false) }
            let endpoints = configuration.location.endpoints
            let connection = EtcdConnection.open(
                to: endpoints[state.turn % endpoints.count], tls: tls, on: loop, timeout: timeout)
            state.connection = connection
            return (state.turn, connection, true)
        }
        guard let connection else { throw EtcdError(.closed, "the connection to etcd was closed") }
        if isNew {
            connection.whenSuccess { made in made.channel.closeFuture.whenComplete { _ in self.abandon(turn) } }
        }
        return (turn, connection)
    }

    /// The connection of this turn is no good: the next call goes to the next endpoint.
    private func abandon(_ turn: Int) {
        let connection = state.withLock { state -> EventLoopFuture<EtcdConnection>? in
            guard state.turn == turn else { return nil }
            state.turn += 1
            defer { state.connection = nil }
            return state.connection
        }
        connection?.whenSuccess { $0.close() }
    }
}

extension Duration {
    fileprivate static func milliseconds(_ count: Double) -> Duration { .nanoseconds(Int64(count * 1e6)) }
}
