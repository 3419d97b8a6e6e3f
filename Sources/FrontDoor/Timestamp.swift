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
}
