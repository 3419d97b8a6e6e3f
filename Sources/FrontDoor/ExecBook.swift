internal import Engine

/// Which container an exec instance belongs to, for the instances of containers elsewhere; the oldest are forgotten first.
///
/// Kept in the journal: a client may come back for an instance after this daemon has started anew.
@NodeLoop
final class ExecBook {
    private static let limit = 4096

    private let journal: Journal
    private var containers: [String: String] = [:]
    private var order: [String] = []

    init(journal: Journal) throws(FrontDoorError) {
        self.journal = journal
        for (id, container) in try journal.execs() {
            containers[id] = container
            order.append(id)
        }
    }

    subscript(id: String) -> String? { containers[id] }

    func put(_ id: String, containerID: String) throws(FrontDoorError) {
        if containers.updateValue(containerID, forKey: id) == nil { order.append(id) }
        try journal.put(exec: id, of: containerID)
        guard order.count > Self.limit else { return }
        let old = order.prefix(Self.limit / 4)
        for id in old { containers[id] = nil }
        order.removeFirst(old.count)
        if let last = old.last { try journal.remove(execsUpTo: last) }
    }

    /// Forgets the instances of a container that is gone.
    func forget(containerID: String) throws(FrontDoorError) {
        let count = order.count
        order.removeAll { containers[$0] == containerID }
        guard order.count < count else { return }
        containers = containers.filter { $0.value != containerID }
        try journal.remove(execsOf: containerID)
    }
}
