internal import NIOCore

/// The steps of one round that are under way.
struct Round {
    /// So many paths are asked for at once.
    static let wantsAtOnce = 2048
    /// From so many steps under way on, nothing more is planned.
    private static let stepsAtOnce = 2048

    private(set) var open: [UInt32: Replica.Step] = [:]
    /// What has not been asked for yet, in order.
    private var waiting: CircularBuffer<Plan.Take> = []
    private var openTakes = 0
    /// Steps taken up so far.
    private(set) var steps = 0

    var isDone: Bool { open.isEmpty && waiting.isEmpty }
    /// Whether the next page can be taken up.
    var hasRoom: Bool { open.count + waiting.count < Self.stepsAtOnce }

    mutating func add(_ takes: [Plan.Take]) {
        waiting += takes
        steps += takes.count
    }

    /// What is to be shipped, with ids from `nextID` on.
    mutating func shipments(_ puts: [Plan.Put], nextID: inout UInt32) -> [Shipment] {
        steps += puts.count
        return puts.map { put in
            let id = takeID(&nextID)
            open[id] =
                switch put.kind {
                case .remove: .remove(put.path)
                case .rename(let name): .rename(put.path, to: name)
                case .content, .metadata: .put(put.path)
                case .finalFolder: .finalFolder
                }
            return Shipment(id: id, path: put.path, expected: put.expected, kind: put.kind)
        }
    }

    /// What may be asked for now.
    mutating func wants(nextID: inout UInt32) -> [(id: UInt32, take: Plan.Take)] {
        var wants: [(id: UInt32, take: Plan.Take)] = []
        while openTakes < Self.wantsAtOnce, let take = waiting.popFirst() {
            let id = takeID(&nextID)
            open[id] = .take(take.path)
            openTakes += 1
            wants.append((id, take))
        }
        return wants
    }

    private func takeID(_ nextID: inout UInt32) -> UInt32 {
        defer { nextID &+= 1 }
        return nextID
    }

    /// Nil for what is not under way.
    mutating func finish(_ id: UInt32) -> Replica.Step? {
        guard let step = open.removeValue(forKey: id) else { return nil }
        if case .take = step { openTakes -= 1 }
        return step
    }
}
