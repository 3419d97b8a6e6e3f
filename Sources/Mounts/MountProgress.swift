/// How far a mount's transfers are.
package struct MountProgress: Sendable, Hashable {
    /// Paths that this side has sent or asked for in this session.
    package var pathsPlanned = 0
    /// Those of them that are done.
    package var pathsDone = 0
    /// Bytes that this side has put into the pipe, all included.
    package var bytesSent = 0
    package var bytesReceived = 0

    package init() {}
}
