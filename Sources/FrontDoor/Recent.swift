/// What is known of the most recent containers; the oldest are forgotten first.
struct Recent<Value: Sendable>: Sendable {
    private var values: [String: Value] = [:]
    private var order: [String] = []
    private let limit: Int

    init(limit: Int = 4096) { self.limit = limit }

    mutating func forget(_ id: String) { values[id] = nil }

    /// Nil for what is too long ago, or was never noted; setting nil changes nothing.
    subscript(id: String) -> Value? {
        get { values[id] }
        set {
            guard let newValue else { return }
            if values.updateValue(newValue, forKey: id) == nil { order.append(id) }
            guard order.count > limit else { return }
            for old in order.prefix(limit / 4) { values[old] = nil }
            order.removeFirst(limit / 4)
        }
    }
}
