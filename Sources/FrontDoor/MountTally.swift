internal import DockerAPI
internal import Mounts
internal import Synchronization

/// What a mount's session tells of itself, on any thread.
final class MountTally: Sendable {
    /// Notices kept; the oldest go first.
    private static let bound = 20

    private let state = Mutex((progress: MountProgress(), notices: [String](), conflicts: 0))

    var progress: MountProgress { state.withLock { $0.progress } }
    /// Versions that were set aside because both sides had changed a path.
    var conflicts: Int { state.withLock { $0.conflicts } }
    var notices: [String] { state.withLock { $0.notices } }

    func note(_ progress: MountProgress) { state.withLock { $0.progress = progress } }

    func note(_ notice: MountNotice) {
        state.withLock { state in
            if case .conflict = notice { state.conflicts += 1 }
            state.notices.append("\(notice)")
            if state.notices.count > Self.bound { state.notices.removeFirst() }
        }
    }
}
