/// Spans of time in which what happens to something is none of its users' business: what tells them of it leaves that out.
///
/// Pure. The oldest are forgotten first, as an engine forgets its events.
package struct QuietSpans: Sendable {
    private static let limit = 256
    /// An event's time is read a moment before or after what it tells of.
    private static let slack = 0.001

    private var spans: [(key: String, from: Double, to: Double)] = []

    package init() {}

    /// - Parameter now: seconds since 1970, as are all times here.
    package mutating func begin(_ key: String, now: Double) {
        spans.append((key, now, .infinity))
        if spans.count > Self.limit { spans.removeFirst() }
    }

    /// Ends the last span of this key.
    package mutating func end(_ key: String, now: Double) {
        guard let index = spans.lastIndex(where: { $0.key == key && $0.to == .infinity }) else { return }
        spans[index].to = now
    }

    package func covers(_ key: String, at moment: Double) -> Bool {
        spans.contains { $0.key == key && ($0.from - Self.slack...$0.to + Self.slack).contains(moment) }
    }
}
