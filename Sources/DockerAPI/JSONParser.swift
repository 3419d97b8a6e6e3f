/// A recursive-descent parser of RFC 8259 over bytes.
///
/// Strings must be UTF-8; a `\u` surrogate without its other half becomes U+FFFD, as in Go.
struct JSONParser {
    private let bytes: [UInt8]
    private let maximumDepth: Int
    private let rejectDuplicates: Bool
    private var at = 0
    private var depth = 0

    init(_ bytes: [UInt8], maximumDepth: Int, rejectDuplicates: Bool) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        self.rejectDuplicates = rejectDuplicates
    }

    mutating func document() throws(JSONError) -> JSON {
        skipSpace()
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw fail("text after the value") }
        return value
    }

    private func fail(_ message: String) -> JSONError { JSONError(offset: at, message: message) }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x0a, 0x0d, 0x09: at += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        at += 1
        return true
    }

    private mutating func value() throws(JSONError) -> JSON {
        switch peek {
        case UInt8(ascii: "{"): return try nested { p throws(JSONError) in try p.object() }
        case UInt8(ascii: "["): return try nested { p throws(JSONError) in try p.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(UInt8(ascii: "-")), .some(0x30...0x39): return try number()
        case nil: throw fail("the text ends before the value")
        default: throw fail("no value begins like this")
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(JSONError) -> JSON
    ) throws(JSONError) -> JSON {
        guard depth < maximumDepth else { throw fail("nested deeper than \(maximumDepth)") }
        depth += 1
        defer { depth -= 1 }
        at += 1
        skipSpace()
        return try body(&self)
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let matches = text.withUTF8Buffer { bytes[at...].starts(with: $0) }
        guard matches else { throw fail("no value begins like this") }
        at += text.utf8CodeUnitCount
        return value
    }

    private mutating func array() throws(JSONError) -> JSON {
        var items: [JSON] = []
        if take(UInt8(ascii: "]")) { return .array(items) }
        while true {
            items.append(try value())
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(items) }
            guard take(UInt8(ascii: ",")) else { throw fail("expected ',' or ']'") }
            skipSpace()
        }
    }

    private mutating func object() throws(JSONError) -> JSON {
        var members: [JSONObject.Member] = []
        var seen: Set<Int> = []
        if take(UInt8(ascii: "}")) { return .object(JSONObject(members)) }
        while true {
            guard peek == UInt8(ascii: "\"") else { throw fail("expected a member's name") }
            let key = try string()
            if rejectDuplicates, !seen.insert(GoFold.hash(key)).inserted,
                members.contains(where: { GoFold.equal($0.key, key) })
            {
                throw fail("a second member '\(key)'")
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw fail("expected ':'") }
            skipSpace()
            members.append(JSONObject.Member(key: key, value: try value()))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(JSONObject(members)) }
            guard take(UInt8(ascii: ",")) else { throw fail("expected ',' or '}'") }
            skipSpace()
        }
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = at
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return .number(String(decoding: bytes[start..<at], as: UTF8.self))
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while at < bytes.count, bytes[at] &- 0x30 < 10 { at += 1 }
        guard at > start else { throw fail("expected a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        let start = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 {
            at += 1
        }
        if take(UInt8(ascii: "\"")) { return try text(bytes[start..<(at - 1)], from: start) }
        var decoded = Array(bytes[start..<at])
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return try text(decoded[...], from: start)
            case UInt8(ascii: "\\"): try escape(into: &decoded)
            case ..<0x20: throw fail("a control character in a string")
            default:
                decoded.append(byte)
                at += 1
            }
        }
        throw fail("the text ends within a string")
    }

    private func text(_ slice: ArraySlice<UInt8>, from start: Int) throws(JSONError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw JSONError(offset: start, message: "a string that is not UTF-8")
        }
        return text
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        at += 1
        guard let kind = peek else { throw fail("the text ends within a string") }
        at += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text += Array(String(try unicodeEscape()).utf8)
        default: throw fail("an unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let replacement: Unicode.Scalar = "\u{fffd}"
        let unit = try codeUnit()
        guard (0xd800...0xdfff).contains(unit) else { return Unicode.Scalar(unit) ?? replacement }
        guard unit < 0xdc00, at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u")
        else { return replacement }
        let before = at
        at += 2
        let low = try codeUnit()
        guard (0xdc00...0xdfff).contains(low) else {
            at = before
            return replacement
        }
        return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)) ?? replacement
    }

    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = peek.flatMap(ASCII.hexDigit) else { throw fail("expected four hex digits") }
            unit = unit << 4 | UInt32(digit)
            at += 1
        }
        return unit
    }
}
