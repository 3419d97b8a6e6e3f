/// A workload that is at a node which is drained, and what becomes of it.
package struct DrainedWorkload: Sendable, Hashable {
    package enum Standing: String, Sendable, Hashable, CaseIterable {
        /// Its origin has not said anything of it yet.
        case unseen
        case moving
        /// It could not be moved just now, and is tried again.
        case waits
        /// It is not moved.
        case stays
        /// Its origin or the node itself is not connected; nothing is moved until that is back.
        case away
    }

    package var id: WorkloadID
    package var name: String
    package var origin: NodeID
    package var standing: Standing
    /// A clause that a person can act on; empty where there is nothing to say.
    package var reason: String

    package init(id: WorkloadID, name: String, origin: NodeID, standing: Standing, reason: String = "") {
        self.id = id
        self.name = name
        self.origin = origin
        self.standing = standing
        self.reason = reason
    }
}
