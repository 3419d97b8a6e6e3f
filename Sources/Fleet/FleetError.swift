/// What can be wrong with a value of the domain itself.
package enum FleetError: Error, Hashable, CustomStringConvertible {
    case invalidName(kind: String, value: String)
    case unknownLabel(String)
    case invalidPolicy(key: String, value: String, remedy: String)
    case illegalTransition(from: WorkloadState, to: WorkloadState)

    package var description: String {
        switch self {
        case .invalidName("workload", let value): "'\(value)' is not a workload id: 32 lower-case hex digits"
        case .invalidName(let kind, let value):
            "'\(value)' is not a \(kind) name: use 1 to 63 of a-z, 0-9 and '-', not '-' first or last"
        case .unknownLabel(let key):
            "there is no label \(key): use one of \(LighterLabel.names.joined(separator: ", "))"
        case .invalidPolicy(let key, let value, let remedy): "\(key)=\(value): \(remedy)"
        case .illegalTransition(let from, let to): "a workload cannot go from \(from) to \(to)"
        }
    }
}
