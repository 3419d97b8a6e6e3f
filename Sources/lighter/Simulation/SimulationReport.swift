/// What a simulation measured; names and units here are a promise to scripts.
struct SimulationReport: Encodable {
    struct Delay: Encodable {
        var p50Milliseconds = 0.0
        var p99Milliseconds = 0.0
    }
    /// The gateway's own use over a span of time; nil where its process is not known.
    struct Usage: Encodable {
        var cpuSeconds: Double
        var cores: Double
        var memoryBytes: Int64
        var peakMemoryBytes: Int64
    }

    var nodes = 0
    var connectSeconds = 0.0
    var connectUsage: Usage?
    var updates = 0
    var updatesPerSecond = 0.0
    /// How many a report carried, as nodes put them together.
    var updatesPerReport = 0.0
    var acknowledged = Delay()
    var updatesUsage: Usage?
    var restSeconds = 0.0
    var heartbeatsPerSecond = 0.0
    var heartbeatAnswered = Delay()
    var pushedBytesPerSecond = 0.0
    var restUsage: Usage?
    var reconnectSeconds: Double?
    var reconnected: Delay?
    var refusedWhileReconnecting: Int?
    var reconnectUsage: Usage?
    var errors: [String: Int] = [:]

    var text: String {
        var lines = [
            "agents connected   \(nodes) in \(connectSeconds.short) s" + Self.said(connectUsage),
            "updates durable    \(updates), \(Int(updatesPerSecond))/s, \(updatesPerReport.short) in a report; acknowledged after "
                + "\(Self.said(acknowledged))" + Self.said(updatesUsage),
            "heartbeats         \(Int(heartbeatsPerSecond))/s over \(restSeconds.short) s; answered after "
                + "\(Self.said(heartbeatAnswered))" + Self.said(restUsage),
            "pushed             \(Int(pushedBytesPerSecond / 1000)) kB/s meanwhile, over all agents",
        ]
        if let reconnectSeconds, let reconnected {
            lines.append(
                "reconnected        all in \(reconnectSeconds.short) s; \(Self.said(reconnected)); refused "
                    + "\(refusedWhileReconnecting ?? 0) times" + Self.said(reconnectUsage))
        }
        let errors = errors.sorted { $0.key < $1.key }.map { "\($0.value) x \($0.key)" }
        lines.append("errors             " + (errors.isEmpty ? "none" : errors.joined(separator: "; ")))
        return lines.joined(separator: "\n")
    }

    private static func said(_ delay: Delay) -> String {
        "\(delay.p50Milliseconds.short) ms (p50), \(delay.p99Milliseconds.short) ms (p99)"
    }

    private static func said(_ usage: Usage?) -> String {
        guard let usage else { return "" }
        let cores = (usage.cores * 1000).rounded() / 1000
        return "\n                   gateway: \(usage.cpuSeconds.short) s of CPU, \(cores) cores, "
            + "\(usage.memoryBytes / 1_000_000) MB (at most \(usage.peakMemoryBytes / 1_000_000) MB so far)"
    }
}
