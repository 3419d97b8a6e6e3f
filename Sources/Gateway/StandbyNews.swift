/// What a gateway that waits to lead says of it: each cause once, until it is another.
package struct StandbyNews: Sendable {
    package enum Cause: Sendable, Hashable {
        /// Another gateway leads, at an address; empty where that is not known.
        case isLed(String)
        /// The store of the ledger, and so who leads, is not to be had.
        case hasNoStore
    }

    private var last: Cause?

    package init() {}

    /// - Returns: a line for the log; nil where it has been said.
    package mutating func line(_ cause: Cause) -> String? {
        guard cause != last else { return nil }
        last = cause
        return switch cause {
        case .isLed: "another gateway leads the fleet; waiting"
        case .hasNoStore: "etcd cannot be reached, and so nobody can lead the fleet; trying on"
        }
    }
}
