/// What a person should know about a mount that goes on.
package enum MountNotice: Sendable, Hashable, CustomStringConvertible {
    /// A path that cannot travel, and why; it stays as it is where it is.
    case skipped(path: String, reason: String)
    /// Both sides changed a path; the target's version was kept under another name.
    case conflict(path: String, keptAs: String)
    /// A change that could not be brought to a side; it is tried again.
    case failed(path: String, side: MountSide, reason: String)
    /// Changes are found more slowly from here on, and why.
    case watchLimited(reason: String)

    package var description: String {
        switch self {
        case .skipped(let path, let reason): "\(path) is not mirrored: \(reason)"
        case .conflict(let path, let other):
            "\(path) was changed at both sides: the device's version keeps the name, the other one is \(other)"
        case .failed(let path, .origin, let reason): "\(path) could not be brought to the device: \(reason)"
        case .failed(let path, .target, let reason): "\(path) could not be brought to the target: \(reason)"
        case .watchLimited(let reason): "changes in the mount are found by looking through it: \(reason)"
        }
    }
}
