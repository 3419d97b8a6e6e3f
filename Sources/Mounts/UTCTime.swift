import Glibc

/// A point in time as the names of conflicts end with it.
enum UTCTime {
    /// `20260102T030405Z`.
    static var now: String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let date = [digits(Int(parts.tm_year) + 1900, 4), digits(Int(parts.tm_mon) + 1), digits(Int(parts.tm_mday))]
        let clock = [digits(Int(parts.tm_hour)), digits(Int(parts.tm_min)), digits(Int(parts.tm_sec))]
        return date.joined() + "T" + clock.joined() + "Z"
    }

    private static func digits(_ number: Int, _ width: Int = 2) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
