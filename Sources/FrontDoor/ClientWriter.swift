internal import DockerAPI
internal import Engine
internal import NIOCore

/// Writes a streamed answer (events, progress) to a client, at the speed at which the client reads.
final class ClientWriter: Sendable {
    private let channel: any Channel
    /// Ends when the client has gone, or has said that it will not say more: then it does not listen either.
    let gone: AsyncStream<Never>

    init(channel: any Channel, gone: AsyncStream<Never>) {
        self.channel = channel
        self.gone = gone
    }

    /// Writes the head of a chunked answer.
    func begin(_ head: ByteBuffer) {
        channel.writeAndFlush(head, promise: nil)
    }

    /// Writes one chunk and waits until the socket has taken it.
    func write(_ payload: ByteBuffer) async throws {
        guard payload.readableBytes > 0 else { return }
        try await channel.writeAndFlush(ChunkedEncoding.chunk(payload))
    }

    /// Writes the last chunk and the end in one piece.
    func finish(with payload: ByteBuffer) {
        channel.write(ChunkedEncoding.chunk(payload), promise: nil)
        end()
    }

    /// Ends the chunked answer.
    func end() {
        channel.writeAndFlush(ByteBuffer(string: "0\r\n\r\n"), promise: nil)
    }
}
