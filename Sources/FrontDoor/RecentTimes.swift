/// When things happened, for the most recent of them; the oldest are forgotten first.
struct RecentTimes: Sendable {
    private var times: [String: Double] = [:]
    private var order: [String] = []
    private static let limit = 4096

    /// Seconds since 1970; nil for what is too long ago, or was never noted.
    subscript(id: String) -> Double? {
        get { times[id] }
        set {
            guard let newValue else { return }
            if times.updateValue(newValue, forKey: id) == nil { order.append(id) }
            guard order.count > Self.limit else { return }
            for old in order.prefix(Self.limit / 4) { times[old] = nil }
            order.removeFirst(Self.limit / 4)
        }
    }
}
