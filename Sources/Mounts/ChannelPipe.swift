package import NIOCore

/// A mount's pipe over a channel, which reads only as fast as the session does.
package struct ChannelPipe: MountPipe {
    package let inbound: any AsyncSequence<ByteBuffer, any Error> & Sendable
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

    private init(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    package func send(_ bytes: ByteBuffer) async throws { try await outbound.write(bytes) }

    /// Makes a channel ready; call it on the channel's event loop, before a byte is read from it.
    package static func prepare(_ channel: any Channel) throws -> Prepared {
        Prepared(channel: try NIOAsyncChannel(wrappingChannelSynchronously: channel))
    }

    /// A channel that waits for its session.
    package struct Prepared: Sendable {
        fileprivate let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

        /// Runs `body` with the pipe, and closes the channel behind it.
        package func with(_ body: @Sendable (ChannelPipe) async throws -> Void) async throws {
            try await channel.executeThenClose { inbound, outbound in
                try await body(ChannelPipe(inbound, outbound))
            }
        }
    }
}
