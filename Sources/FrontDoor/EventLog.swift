internal import DockerAPI
internal import Engine

/// Events of volumes elsewhere that no engine tells as they are: the device's users know them by other names.
///
/// As an engine does, it keeps the last 256 and forgets them at a restart.
@NodeLoop
final class EventLog {
    private static let limit = 256

    private(set) var past: [JSON] = []
    private var listeners: [Int: AsyncStream<JSON>.Continuation] = [:]
    private var nextListener = 0
    /// Removals of the device's engine that are none to its users: the volume went elsewhere.
    private var moves = QuietSpans()

    nonisolated init() {}

    /// - Parameter now: seconds since 1970.
    func note(volume name: String, _ action: String, now: Double) {
        let event: JSON = [
            "Type": "volume", "Action": .string(action),
            "Actor": ["ID": .string(name), "Attributes": ["driver": "local"]], "scope": "local",
            "time": .int(Int64(now)), "timeNano": .int(Int64(now * 1e9)),
        ]
        past.append(event)
        if past.count > Self.limit { past.removeFirst() }
        for listener in listeners.values { listener.yield(event) }
    }

    /// What comes from now on, and what ends that.
    func follow() -> (events: AsyncStream<JSON>, end: @NodeLoop () -> Void) {
        nextListener += 1
        let number = nextListener
        // A client that reads slower than volumes come and go has more to miss than these.
        let (events, inlet) = AsyncStream<JSON>.makeStream(bufferingPolicy: .bufferingNewest(Self.limit))
        listeners[number] = inlet
        return (events, { self.listeners.removeValue(forKey: number)?.finish() })
    }

    // MARK: Moves

    /// The device's engine is asked to remove a volume that went elsewhere; to be followed by `endMove`.
    func beginMove(of name: String, now: Double) { moves.begin(name, now: now) }

    func endMove(of name: String, now: Double) { moves.end(name, now: now) }

    /// Whether an event of the device's engine says that a volume is gone which only went elsewhere.
    func hides(_ event: JSON) -> Bool {
        guard event["Type"]?.stringValue == "volume", event["Action"]?.stringValue == "destroy",
            let name = event["Actor"]?["ID"]?.stringValue, let nanos = event["timeNano"]?.intValue
        else { return false }
        return moves.covers(name, at: Double(nanos) / 1e9)
    }
}
