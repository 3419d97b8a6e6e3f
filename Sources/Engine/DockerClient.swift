import DockerAPI
package import NIOCore

/// Calls a Docker API over any dialer: a local engine's socket, or streams of a link.
///
/// Connections are kept and used again. A call takes as long as it takes unless it is given a timeout.
@NodeLoop
package final class DockerClient {
    package let dialer: any DockerDialer
    /// Put before targets that name no version: `1.41`; nil for the engine's own newest.
    package var apiVersion: String?
    private let host: String
    private let maximumIdle: Int
    private var idle: [EngineConnection] = []

    package init(dialer: any DockerDialer, apiVersion: String? = nil, host: String = "docker", maximumIdle: Int = 4) {
        self.dialer = dialer
        self.apiVersion = apiVersion
        self.host = host
        self.maximumIdle = maximumIdle
    }

    /// One call with its whole answer, whatever its status; see `DockerResponse.checked()`.
    ///
    /// - Parameters:
    ///   - limit: The longest body that is accepted, in bytes.
    ///   - timeout: For the whole call; nil for none.
    package func request(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: ByteBuffer? = nil,
        limit: Int = 64 << 20, timeout: Duration? = nil
    ) async throws(EngineError) -> DockerResponse {
        guard let timeout else {
            return try await call(method, target, headers, body, limit)
        }
        let headers = HTTPHeaders(headers)
        let call = { @Sendable @NodeLoop () async -> Result<DockerResponse, EngineError> in
            do throws(EngineError) {
                return .success(
                    try await self.call(method, target, headers.fields.map { ($0.name, $0.value) }, body, limit))
            } catch {
                return .failure(error)
            }
        }
        let result = await withTaskGroup(of: Result<DockerResponse, EngineError>?.self) { group in
            group.addTask { await call() }
            group.addTask {
                do { try await ContinuousClock().sleep(for: timeout) } catch { return nil }
                return .failure(EngineError(.timeout, "the engine did not answer \(method) \(target) in \(timeout)"))
            }
            var first: Result<DockerResponse, EngineError>?
            while first == nil, let next = await group.next() { first = next }
            group.cancelAll()
            return first ?? .failure(EngineError(.cancelled, "the call was cancelled"))
        }
        return try result.get()
    }

    private func call(
        _ method: String, _ target: String, _ headers: [(String, String)], _ body: ByteBuffer?, _ limit: Int
    ) async throws(EngineError) -> DockerResponse {
        let stream = try await stream(method, target, headers: headers, body: body.map { .bytes($0) } ?? .none)
        return try await stream.collect(limit: limit)
    }

    /// One call; returns when the answer's head is there.
    /// - Parameter sent: called once the request is on its way, before anything that the caller does because of that.
    package func stream(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: RequestBody = .none,
        sent: (@NodeLoop () -> Void)? = nil
    ) async throws(EngineError) -> DockerStream {
        let head = try makeHead(method, target, headers, body)
        while true {
            let exchange = Exchange(method: method)
            let connection = try await connection()
            connection.begin(exchange, head: head, body: body)
            sent?()
            do throws(EngineError) {
                let head = try await exchange.awaitHead()
                return DockerStream(
                    status: head.status, headers: head.headers, body: DockerBody(handle: ExchangeHandle(exchange)))
            } catch {
                // A kept connection may have been closed by the engine at that very moment: nothing has happened then.
                let isStale = error.code == .closed && connection.exchangesBegun > 1 && !connection.heardOfExchange
                guard isStale, ["GET", "HEAD"].contains(method) else { throw error }
            }
        }
    }

    /// Closes the connections that are kept; calls under way go on.
    package func close() {
        let kept = idle
        idle = []
        for connection in kept { connection.close() }
    }

    private func connection() async throws(EngineError) -> EngineConnection {
        while let kept = idle.popLast() {
            if !kept.isClosed { return kept }
        }
        let connection = try await EngineConnection.open(dialer)
        // A client that has gone keeps nothing: its last connection closes behind it.
        connection.becameIdle = { [weak self] in if let self { self.keep($0) } else { $0.close() } }
        return connection
    }

    private func keep(_ connection: EngineConnection) {
        idle.removeAll { $0.isClosed }
        if idle.count < maximumIdle { idle.append(connection) } else { connection.close() }
    }

    private func makeHead(
        _ method: String, _ target: String, _ headers: [(String, String)], _ body: RequestBody
    ) throws(EngineError) -> ByteBuffer {
        var fields = [("Host", host), ("User-Agent", "Lighter")]
        switch body {
        case .none: if method != "GET" && method != "HEAD" { fields.append(("Content-Length", "0")) }
        case .bytes(let bytes): fields.append(("Content-Length", String(bytes.readableBytes)))
        case .producing: fields.append(("Transfer-Encoding", "chunked"))
        }
        if case .bytes = body, !headers.contains(where: { $0.0 == "Content-Type" }) {
            fields.append(("Content-Type", "application/json"))
        }
        do throws(HTTPError) {
            return try RequestHead.make(method, versioned(target), fields + headers).raw
        } catch {
            throw EngineError(.malformed, "a request that cannot be sent: \(error.message)", cause: error)
        }
    }

    private func versioned(_ target: String) -> String {
        guard let apiVersion, !target.hasPrefix("/v") || target.hasPrefix("/version") || target.hasPrefix("/volumes")
        else { return target }
        return "/v\(apiVersion)\(target)"
    }
}
