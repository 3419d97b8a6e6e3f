package import NIOCore

/// The ordered bytes between the two sides of a mount.
///
/// A failure of either direction ends the session with `.pipe`. The end of `inbound` is the peer's regular end.
package protocol MountPipe: Sendable {
    /// What the other side sent, in pieces of any size. Read by one task, once; it should be read from the network
    /// only as fast as it is consumed, which is what bounds the session's memory.
    var inbound: any AsyncSequence<ByteBuffer, any Error> & Sendable { get }

    /// Sends bytes; called by one task at a time. Returns when the pipe may take more.
    func send(_ bytes: ByteBuffer) async throws
}
