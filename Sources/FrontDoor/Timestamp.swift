internal import Glibc

/// Times as Docker's JSON writes them: `2026-01-31T10:20:30.123456789Z`.
enum Timestamp {
    /// Seconds since 1970; nil for what is not such a time in UTC.
    static func seconds(_ text: String) -> Double? {
        let parts = text.split(whereSeparator: { "-T:Z".contains($0) })
        guard text.hasSuffix("Z"), parts.count == 6 else { return nil }
        let numbers = parts.prefix(5).compactMap { Int32($0) }
        guard numbers.count == 5, let seconds = Double(parts[5]), (0..<61).contains(seconds) else { return nil }
        var moment = tm()
        moment.tm_year = numbers[0] - 1900
        moment.tm_mon = numbers[1] - 1
        moment.tm_mday = numbers[2]
        moment.tm_hour = numbers[3]
        moment.tm_min = numbers[4]
        return Double(timegm(&moment)) + seconds
    }

    /// - Parameter seconds: since 1970.
    static func text(_ seconds: Double) -> String {
        let nanoseconds = Int64((seconds * 1e9).rounded())
        var whole = Int(nanoseconds / 1_000_000_000)
        var moment = tm()
        gmtime_r(&whole, &moment)
        let padded = { (number: Int64, width: Int) in
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        let date = [Int64(moment.tm_year) + 1900, Int64(moment.tm_mon) + 1, Int64(moment.tm_mday)]
        let time = [moment.tm_hour, moment.tm_min, moment.tm_sec].map { padded(Int64($0), 2) }
        return "\(date.map { padded($0, 2) }.joined(separator: "-"))T\(time.joined(separator: ":"))"
            + ".\(padded(nanoseconds % 1_000_000_000, 9))Z"
    }

    /// What a user may write for a moment: a Go duration before `now` (`1h30m`), seconds since 1970 (`1700000000.5`), or a date
    /// with or without a time (`2026-01-31`, `2026-01-31T10:20:30`), in UTC. Nil for anything else.
    static func asked(_ text: String, now: Double) -> Double? {
        if let duration = duration(text) { return now - duration }
        if let seconds = Double(text), seconds.isFinite { return seconds }
        let date = text.hasSuffix("Z") ? text : text.contains("T") ? text + "Z" : text + "T00:00:00Z"
        return seconds(date)
    }

    private static let units: [(name: String, seconds: Double)] = [
        ("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600),
    ]

    /// Seconds of a Go duration; nil for what is none.
    private static func duration(_ text: String) -> Double? {
        var rest = Substring(text)
        var total = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            let name = rest.dropFirst(digits.count).prefix { $0.isLetter }
            guard let count = Double(digits), let unit = units.first(where: { $0.name == name }) else { return nil }
            total += count * unit.seconds
            rest = rest.dropFirst(digits.count + name.count)
        }
        return total
    }
}
