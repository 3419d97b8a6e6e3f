internal import DockerAPI

/// The `Status` of a container's list entry, as an engine words it: `Up 5 minutes (healthy)`.
enum StatusText {
    /// - Parameters:
    ///   - state: `State` of the inspection.
    ///   - now: seconds since 1970, by the engine's clock.
    /// - Returns: nil for a state that is not known here.
    static func make(_ state: JSON, now: Double) -> String? {
        let since = { (key: String) -> String in
            let moment = state[key]?.stringValue.flatMap(Timestamp.seconds) ?? now
            return duration(max(0, now - moment))
        }
        let code = state["ExitCode"]?.intValue ?? 0
        switch state["Status"]?.stringValue {
        case "running":
            guard let health = state["Health"]?["Status"]?.stringValue, health != "none" else {
                return "Up \(since("StartedAt"))"
            }
            return "Up \(since("StartedAt")) (\(health == "starting" ? "health: starting" : health))"
        case "paused": return "Up \(since("StartedAt")) (Paused)"
        case "restarting": return "Restarting (\(code)) \(since("FinishedAt")) ago"
        case "removing": return "Removal In Progress"
        case "dead": return "Dead"
        case "created": return "Created"
        case "exited": return "Exited (\(code)) \(since("FinishedAt")) ago"
        default: return nil
        }
    }

    /// As Docker rounds it.
    static func duration(_ seconds: Double) -> String {
        let whole = Int(seconds)
        let minutes = Int(seconds / 60)
        let hours = Int(seconds / 3600 + 0.5)
        return switch () {
        case _ where whole < 1: "Less than a second"
        case _ where whole == 1: "1 second"
        case _ where whole < 60: "\(whole) seconds"
        case _ where minutes == 1: "About a minute"
        case _ where minutes < 60: "\(minutes) minutes"
        case _ where hours == 1: "About an hour"
        case _ where hours < 48: "\(hours) hours"
        case _ where hours < 24 * 7 * 2: "\(hours / 24) days"
        case _ where hours < 24 * 30 * 2: "\(hours / 24 / 7) weeks"
        case _ where hours < 24 * 365 * 2: "\(hours / 24 / 30) months"
        default: "\(Int(seconds / 3600) / 24 / 365) years"
        }
    }
}
