/// Which container an exec instance belongs to, for the instances of remote containers; the oldest are forgotten first.
struct ExecBook {
    private var containers: [String: String] = [:]
    private var order: [String] = []
    private static let limit = 4096

    subscript(id: String) -> String? { containers[id] }

    mutating func put(_ id: String, containerID: String) {
        if containers.updateValue(containerID, forKey: id) == nil { order.append(id) }
        guard order.count > Self.limit else { return }
        for old in order.prefix(Self.limit / 4) { containers[old] = nil }
        order.removeFirst(Self.limit / 4)
    }
}
