/// How new a state update is: the placement's epoch first, the node's sequence number within it second.
///
/// An update is applied only when its version is greater than the one known; duplicates and reordering change nothing.
package struct Version: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// Grows with every placement of the workload.
    package var epoch: UInt64
    /// Grows with every report of the node that holds the lease, also across its restarts.
    package var sequence: UInt64

    package init(epoch: UInt64, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }

    package static func < (a: Self, b: Self) -> Bool { (a.epoch, a.sequence) < (b.epoch, b.sequence) }
    package var description: String { "\(epoch).\(sequence)" }
}
