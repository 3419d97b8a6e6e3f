import Fleet

/// Numbers as a person reads them.
enum Text {
    /// Three significant digits and no exponent, so that columns stay narrow: `0.0123`, `1.23`, `45.6`, `789`.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "?" : value < 0 ? "-inf" : "inf" }
        let magnitude = value.magnitude
        let places =
            switch magnitude {
            case 100...: 0
            case 10..<100: 1
            case 0.1..<10: 2
            default: 4
            }
        return fixed(value, places: places)
    }

    static func percent(_ part: Double) -> String {
        part.isFinite ? "\(Int(max(-1e6, min(1e6, (part * 100).rounded()))))%" : "?"
    }

    static func seconds(_ value: Double) -> String { "\(number(value)) s" }

    /// `a`, `a and b`, `a, b and 3 more`.
    static func list(_ items: [String]) -> String {
        switch items.count {
        case 0: ""
        case 1: items[0]
        case 2: "\(items[0]) and \(items[1])"
        default: "\(items[0]), \(items[1]) and \(items.count - 2) more"
        }
    }

    /// A term's value with its unit.
    static func value(_ term: Decision.Term) -> String {
        switch term.unit {
        case "fraction": percent(term.value)
        case "bytes": byteCount(term.value)
        case "bytes/s": "\(byteCount(term.value))/s"
        case "": number(term.value)
        default: "\(number(term.value)) \(term.unit)"
        }
    }

    private static func byteCount(_ value: Double) -> String {
        guard value.isFinite, value.magnitude < 9e18 else { return number(value) }
        return ByteCount(Int64(value)).description
    }

    private static func fixed(_ value: Double, places: Int) -> String {
        guard value.magnitude < 1e15 else { return "\(value)" }
        var scale: Int64 = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((value.magnitude * Double(scale)).rounded())
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard places > 0 else { return "\(sign)\(scaled)" }
        var digits = "\(scaled % scale)"
        while digits.utf8.count < places { digits = "0" + digits }
        while digits.hasSuffix("0") { digits.removeLast() }
        return digits.isEmpty ? "\(sign)\(scaled / scale)" : "\(sign)\(scaled / scale).\(digits)"
    }
}
