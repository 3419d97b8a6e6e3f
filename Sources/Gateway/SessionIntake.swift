import Wire

/// What a node has said that is not dealt with yet: held until the node is known, and reports in their order. Pure.
///
/// While reports of a node are being recorded those that come meanwhile wait; then they are recorded together.
struct SessionIntake {
    /// What is recorded next, in one go.
    enum Work: Sendable {
        case changes([Lighter_V1_Report])
        /// Alone: what it leaves out is looked for before it is recorded.
        case full(Lighter_V1_Report)
    }

    enum Outcome {
        /// The node has not said Hello.
        case refuse
        case wait
        case record(Work)
        case answer(Lighter_V1_Heartbeat)
    }

    private enum Phase { case unknown, greeting, known }

    private var phase = Phase.unknown
    private var isRecording = false
    private var reports: [Lighter_V1_Report] = []
    private var heartbeats: [Lighter_V1_Heartbeat] = []

    /// The node says Hello: what follows is held until it is known.
    mutating func hello() { if phase == .unknown { phase = .greeting } }

    /// The node is known: its heartbeats that were held, and what to record.
    mutating func greeted() -> (heartbeats: [Lighter_V1_Heartbeat], work: Work?) {
        phase = .known
        defer { heartbeats = [] }
        return (heartbeats, next())
    }

    mutating func take(_ report: Lighter_V1_Report) -> Outcome {
        guard phase != .unknown else { return .refuse }
        reports.append(report)
        return next().map(Outcome.record) ?? .wait
    }

    mutating func take(_ heartbeat: Lighter_V1_Heartbeat) -> Outcome {
        switch phase {
        case .unknown: return .refuse
        case .greeting:
            heartbeats.append(heartbeat)
            return .wait
        case .known: return .answer(heartbeat)
        }
    }

    /// What was to be recorded has been, or has failed: what is next.
    mutating func recorded() -> Work? {
        isRecording = false
        return next()
    }

    private mutating func next() -> Work? {
        guard phase == .known, !isRecording, let first = reports.first else { return nil }
        isRecording = true
        if first.full {
            reports.removeFirst()
            return .full(first)
        }
        let changes = Array(reports.prefix { !$0.full })
        reports.removeFirst(changes.count)
        return .changes(changes)
    }
}
