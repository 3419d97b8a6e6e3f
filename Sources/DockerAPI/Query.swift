/// The query of a target: ordered pairs, decoded.
package struct Query: Sendable, Hashable {
    package struct Pair: Sendable, Hashable {
        package var name: String
        package var value: String
    }

    package private(set) var pairs: [Pair] = []

    package init() {}

    /// Decodes the text after a target's `?`. A pair with a broken escape is left out, as Go's parser does.
    package init(_ text: String) {
        for part in text.utf8.split(separator: UInt8(ascii: "&")) where !part.contains(UInt8(ascii: ";")) {
            let mark = part.firstIndex(of: UInt8(ascii: "="))
            let value = mark.map { part[part.index(after: $0)...] } ?? part[part.endIndex...]
            guard let name = PercentCoding.decode(part[..<(mark ?? part.endIndex)], plusIsSpace: true),
                let value = PercentCoding.decode(value, plusIsSpace: true)
            else { continue }
            pairs.append(
                Pair(name: String(decoding: name, as: UTF8.self), value: String(decoding: value, as: UTF8.self)))
        }
    }

    package var isEmpty: Bool { pairs.isEmpty }

    package func first(_ name: String) -> String? { pairs.first { $0.name == name }?.value }

    package func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    /// A flag as Docker reads one: absent, empty, `0`, `no`, `false`, `none` are false (without regard to case).
    package func flag(_ name: String) -> Bool {
        guard let value = first(name) else { return false }
        return !["", "0", "no", "false", "none"].contains(ASCII.lowercased(value))
    }

    /// Replaces every value of `name` by one, at the place of the first.
    package mutating func set(_ name: String, _ value: String) {
        guard let index = pairs.firstIndex(where: { $0.name == name }) else {
            append(name, value)
            return
        }
        pairs[index].value = value
        let rest = pairs[(index + 1)...].filter { $0.name != name }
        pairs.replaceSubrange((index + 1)..., with: rest)
    }

    package mutating func append(_ name: String, _ value: String) {
        pairs.append(Pair(name: name, value: value))
    }

    package mutating func remove(_ name: String) { pairs.removeAll { $0.name == name } }

    /// The text to put after a `?`; empty for no pairs.
    package var encoded: String {
        pairs.map { "\(PercentCoding.encode($0.name))=\(PercentCoding.encode($0.value))" }.joined(separator: "&")
    }

    /// `path` with this query: what goes into a request line.
    package func target(_ path: String) -> String { pairs.isEmpty ? path : "\(path)?\(encoded)" }
}
