internal import NIOPosix
import Synchronization

/// A folder that becomes what a `TreeSource` elsewhere is. Nothing else may use it meanwhile.
///
/// What comes may be hostile: no link is followed, nothing outside the folder is touched, and no device is made.
package final class TreeCopy: Sendable {
    private let work: Mutex<TreeCopyWork>

    /// - Parameter path: of this machine's own; what it holds is kept where the source has it, too.
    package init(path: String) throws(MountError) {
        do throws(SystemFailure) {
            work = Mutex(TreeCopyWork(root: try OpenFolder.open(trusted: path)))
        } catch {
            throw MountError(.file, "\(path) cannot be written: \(error)")
        }
    }

    /// Does what a frame says.
    /// - Returns: true at the end of a pass, when all is on the disk.
    package func take(_ frame: TreeFrame) async throws -> Bool {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            try work.withLock { work in
                switch frame {
                case .steps(let bytes):
                    try work.take(bytes)
                    return false
                case .end:
                    try work.end()
                    return true
                case .failed(let reason): throw MountError(.file, reason)
                case .pass: throw MountError.violation("a copy was asked for its source")
                }
            }
        }
    }
}
