import Yams

/// What a tag of Compose's merge rules does with what earlier files say.
enum MergeTag: String {
    case reset = "!reset"
    case override = "!override"
}

extension Node {
    /// A scalar's text; nil for null and for anything else.
    var text: String? {
        guard case .scalar(let scalar) = self else { return nil }
        let isNull = scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
        return isNull ? nil : scalar.string
    }

    var mergeTag: MergeTag? { MergeTag(rawValue: "\(tag)") }

    /// A mapping's pairs with those that `<<` brings, each key once; nil for what is no mapping.
    var entries: [(name: String, value: Node)]? {
        keyedEntries?.map { ($0.key.string, $0.value) }
    }

    /// The same with the keys as they stand, at the place where an anchor has them.
    var keyedEntries: [(key: Node.Scalar, value: Node)]? {
        guard case .mapping(let mapping) = self else { return nil }
        var known: Set<String> = []
        return (Self.own(mapping) + Self.merged(into: mapping)).filter { known.insert($0.key.string).inserted }
    }

    /// The value of a key, which `<<` may have brought.
    subscript(entry name: String) -> Node? {
        entries?.first { $0.name == name }?.value
    }

    private static func own(_ mapping: Node.Mapping) -> [(key: Node.Scalar, value: Node)] {
        mapping.compactMap { key, value in
            guard case .scalar(let key) = key, !isMerge(key) else { return nil }
            return (key, value)
        }
    }

    private static func merged(into mapping: Node.Mapping) -> [(key: Node.Scalar, value: Node)] {
        mapping.flatMap { key, value -> [(key: Node.Scalar, value: Node)] in
            guard case .scalar(let key) = key, isMerge(key) else { return [] }
            if case .sequence(let sources) = value { return sources.flatMap { $0.keyedEntries ?? [] } }
            return value.keyedEntries ?? []
        }
    }

    private static func isMerge(_ key: Node.Scalar) -> Bool { key.string == "<<" && key.style == .plain }
}
