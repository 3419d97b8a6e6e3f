internal import Compression
package import NIOCore
internal import NIOPosix
import Synchronization

/// A folder that goes to another machine as it is, while it is used: once whole, then what has changed since, as often as wanted.
///
/// What has changed is told from the kernel's own time of change and by the content's digests, never by what a program can set.
/// One pass at a time.
package final class TreeSource: Sendable {
    private let walk: Mutex<TreeWalk>

    /// - Parameters:
    ///   - path: of this machine's own, which may lead through links.
    ///   - isLayer: whether it is a container's writable layer.
    package init(path: String, isLayer: Bool) throws(MountError) {
        do throws(SystemFailure) {
            walk = Mutex(TreeWalk(root: try OpenFolder.open(trusted: path), isLayer: isLayer))
        } catch {
            throw MountError(.originLost, "\(path) cannot be read: \(error)")
        }
    }

    /// Emits frames that bring a copy from the last pass's state to that of now; the last is `.end`.
    @discardableResult
    package func pass(_ emit: @Sendable (ByteBuffer) async throws -> Void) async throws -> TreeTally {
        walk.withLock { $0.begin() }
        while true {
            let frame = try await NIOThreadPool.singleton.runIfActive { [self] in try next() }
            try await emit(frame.bytes)
            if case .end(let tally) = frame { return tally }
        }
    }

    private func next() throws -> TreeFrame {
        try walk.withLock { walk in
            let steps = try walk.next()
            return steps.readableBytes > 0 ? .steps(try ZstdCompressor().whole(steps)) : .end(walk.tally)
        }
    }
}

extension ZstdCompressor {
    fileprivate func whole(_ bytes: ByteBuffer) throws(CompressionError) -> ByteBuffer {
        var packed = try compress(bytes)
        packed.writeImmutableBuffer(try finish())
        return packed
    }
}
