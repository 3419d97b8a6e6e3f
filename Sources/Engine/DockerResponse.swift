package import DockerAPI
package import NIOCore

/// A whole answer.
package struct DockerResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: ByteBuffer

    package init(status: Int, headers: HTTPHeaders, body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// An answer in JSON, as an engine would give it.
    package init(status: Int = 200, json: JSON) {
        self.init(status: status, headers: HTTPHeaders([("Content-Type", "application/json")]), body: json.buffer)
    }

    package var isSuccess: Bool { (200..<300).contains(status) || status == 304 }

    /// Itself when the engine agreed.
    ///
    /// - Throws: `.refused` with the engine's own words.
    @discardableResult
    package func checked() throws(EngineError) -> DockerResponse {
        if isSuccess { return self }
        let words = (try? JSON.parse(body))?.value(named: "message")?.stringValue
        throw EngineError(.refused(status: status), words ?? "the engine answered with status \(status)")
    }

    /// - Throws: `.malformed` when the body is not JSON.
    package func json() throws(EngineError) -> JSON {
        do throws(JSONError) {
            return try JSON.parse(body)
        } catch {
            throw EngineError(.malformed, "the engine's answer is not JSON", cause: error)
        }
    }
}

/// What a request carries.
package enum RequestBody: Sendable {
    case none
    case bytes(ByteBuffer)
    /// Calls `write` once per piece; each call returns when the piece has left. Sent chunked.
    case producing(@Sendable (_ write: @Sendable (ByteBuffer) async throws -> Void) async throws -> Void)

    package static func stream<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) -> RequestBody
    where Pieces.Element == ByteBuffer {
        .producing { write in
            for try await piece in pieces { try await write(piece) }
        }
    }
}

/// An answer whose head is there and whose body is still coming.
///
/// Bytes are read from the engine only as the body is read. Drop or `cancel()` an answer that is not read to its end: its
/// connection is closed.
package struct DockerStream: Sendable {
    package let status: Int
    package let headers: HTTPHeaders
    package let body: DockerBody

    package func cancel() { body.handle.cancel() }

    /// The whole body.
    ///
    /// - Throws: `.tooLarge` past `limit` bytes.
    package func collect(limit: Int = 64 << 20) async throws(EngineError) -> DockerResponse {
        var collected = ByteBuffer()
        do {
            for try await piece in body {
                guard collected.readableBytes + piece.readableBytes <= limit else {
                    cancel()
                    throw EngineError(.tooLarge, "the engine's answer is longer than \(limit) bytes")
                }
                collected.writeImmutableBuffer(piece)
            }
        } catch {
            throw .wrapping(error)
        }
        return DockerResponse(status: status, headers: headers, body: collected)
    }
}

/// The pieces of a body, without framing. One reader only.
package struct DockerBody: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer

    let handle: ExchangeHandle

    package struct AsyncIterator: AsyncIteratorProtocol {
        let handle: ExchangeHandle

        package mutating func next() async throws -> ByteBuffer? { try await handle.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(handle: handle) }
}

/// The reader's end of an exchange; letting go of it ends the exchange.
final class ExchangeHandle: Sendable {
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    func next() async throws(EngineError) -> ByteBuffer? { try await exchange.next() }

    func cancel() {
        let exchange = exchange
        NodeLoop.shared.loop.execute { NodeLoop.assumeIsolated { exchange.cancel() } }
    }

    deinit { cancel() }
}
