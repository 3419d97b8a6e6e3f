/// Which end of a mount this is.
package enum MountSide: UInt8, Sendable, Hashable, BitwiseCopyable {
    /// The device whose folder it is; it holds the base and decides.
    case origin = 0
    /// The machine where the container runs.
    case target = 1
}
